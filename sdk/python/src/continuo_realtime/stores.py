"""Where positions are kept between runs of a program."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Protocol, TypedDict


class Position(TypedDict):
    """A place in a room's log: which log, and the last event of it that was handled."""

    stream_id: str
    event_id: int


class CursorStore(Protocol):
    """Keeps one position per room. Calls for one room never overlap. A store that raises is reported, and delivery goes on."""

    async def load(self, room: str) -> Position | None: ...

    async def save(self, room: str, position: Position) -> None: ...

    async def delete(self, room: str) -> None: ...


class MemoryStore:
    """Positions for as long as the process lives, to be shared by several clients one after the other."""

    def __init__(self) -> None:
        self._positions: dict[str, Position] = {}

    async def load(self, room: str) -> Position | None:
        return self._positions.get(room)

    async def save(self, room: str, position: Position) -> None:
        self._positions[room] = position

    async def delete(self, room: str) -> None:
        self._positions.pop(room, None)


class FileStore:
    """Positions in one JSON file, which is written to the side, synced, and renamed over: a crash leaves the old or the new.

    A file belongs to one process at a time. A file that cannot be understood raises, and is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = asyncio.Lock()
        self._positions: dict[str, Position] | None = None

    async def load(self, room: str) -> Position | None:
        async with self._lock:
            return (await self._read()).get(room)

    async def save(self, room: str, position: Position) -> None:
        async with self._lock:
            positions = await self._read()
            await self._write({**positions, room: position})

    async def delete(self, room: str) -> None:
        async with self._lock:
            positions = await self._read()
            if room in positions:
                await self._write({name: position for name, position in positions.items() if name != room})

    async def _read(self) -> dict[str, Position]:
        if self._positions is None:
            self._positions = await asyncio.to_thread(_read, self._path)
        return self._positions

    async def _write(self, positions: dict[str, Position]) -> None:
        await asyncio.to_thread(_write, self._path, json.dumps(positions, indent=1))
        self._positions = positions


def _read(path: Path) -> dict[str, Position]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    positions = json.loads(text)
    if not isinstance(positions, dict) or not all(map(is_position, positions.values())):
        raise ValueError(f"{path} holds no positions")
    return positions


def is_position(value: object) -> bool:
    """Whether a value that came from outside is a position."""
    return isinstance(value, dict) and type(value.get("stream_id")) is str and type(value.get("event_id")) is int


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    side = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(side, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(side, path)

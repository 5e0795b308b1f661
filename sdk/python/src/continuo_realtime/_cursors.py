"""Stores positions one after the other, and only the newest of each room: a store may be slower than the events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .errors import ContinuoError
from .stores import CursorStore, Position, is_position

MOMENT = 1.0  # seconds


class CursorWriter:
    def __init__(self, store: CursorStore, report: Callable[[Exception], None]) -> None:
        self._store = store
        self._report = report
        self._pending: dict[str, Position] = {}
        self._task: asyncio.Task[None] | None = None

    async def load(self, room: str) -> Position | None:
        """The position of a room: the newest that is known, stored or not. A store that fails has none."""
        if (pending := self._pending.get(room)) is not None:
            return pending
        try:
            found = await self._store.load(room)
            if found is not None and not is_position(found):
                raise ValueError(f"the position of room {room} is none: {found!r}")
            return found
        except Exception as error:
            self._report(error)
            return None

    def save(self, room: str, position: Position) -> None:
        self._pending[room] = position
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        while self._pending:
            room, position = next(iter(self._pending.items()))
            try:
                await self._store.save(room, position)
            except Exception as error:
                self._report(error)
            if self._pending.get(room) is position:
                del self._pending[room]

    async def close(self, timeout: float) -> None:
        """Waits until all is stored, or it takes too long."""
        if self._task is None or self._task.done():
            return
        await asyncio.wait([self._task], timeout=timeout)
        if self._task.cancel():
            await asyncio.wait([self._task], timeout=MOMENT)
            self._report(ContinuoError("warning", f"the positions of {len(self._pending)} rooms were not stored"))

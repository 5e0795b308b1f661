"""The rooms of a session: which are wanted, where each one stands, and what of it was handled."""

from __future__ import annotations

from collections.abc import Callable

from . import inputs
from ._core import Core
from ._room import Room
from .codec import Frame


class Rooms:
    """The rooms that are wanted, in the order of their first join."""

    def __init__(self, core: Core, buffer: int) -> None:
        self._core = core
        self._buffer = buffer
        self._rooms: dict[str, Room] = {}
        self.changed: Callable[[], None] = lambda: None  # a room was joined, or is not wanted any more

    def wanted(self, name: str) -> bool:
        room = self._rooms.get(name)
        return room is not None and not room.refused

    def joined(self, name: str) -> bool:
        room = self._rooms.get(name)
        return room is not None and room.joined

    def join(self, event: inputs.Join) -> None:
        room = self._rooms.get(event.room)
        if room is None:
            room = self._rooms[event.room] = Room(self._core, event, self._buffer, lambda: self.changed())
            room.begin()
        else:
            room.options = event
            if room.refused:
                room.begin()

    def leave(self, event: inputs.Leave) -> None:
        room = self._rooms.pop(event.room, None)
        if room is not None:
            room.leave()
            self.changed()

    def connected(self) -> None:
        for room in self._rooms.values():
            if not room.refused:
                room.send_join()

    def lost(self) -> None:
        for room in self._rooms.values():
            room.lost()

    def frame(self, name: str, kind: str, frame: Frame) -> None:
        room = self._rooms.get(name)
        if room is not None:
            room.frame(kind, frame)

    def handled(self, event: inputs.Handled) -> None:
        room = self._rooms.get(event.room)
        if room is not None:
            room.handled()

    def snapshot(self, event: inputs.Snapshot) -> None:
        room = self._rooms.get(event.room)
        if room is not None:
            room.snapshot(event.stream_id, event.event_id)

    def snapshot_failed(self, event: inputs.SnapshotFailed) -> None:
        room = self._rooms.get(event.room)
        if room is not None:
            room.snapshot_failed()

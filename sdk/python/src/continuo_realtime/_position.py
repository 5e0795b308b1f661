"""Where a room is in its log: what was seen, what was handled, and what lies between."""

from __future__ import annotations

from collections import deque
from typing import Any

from ._core import Core
from .effects import Cursor


class Place:
    """`seen` is the highest event that was delivered or passed by; the cursor is where everything up to it was handled."""

    def __init__(self, core: Core, room: str, cursor: dict[str, Any] | None) -> None:
        self._core = core
        self._room = room
        self.stream: str = cursor["stream_id"] if cursor else ""
        self.seen: int | None = cursor["event_id"] if cursor else None
        self._cursor = (self.stream, self.seen)
        self._queue: deque[int | None] = deque()  # the events that were delivered and not handled; None moves no cursor

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def begin(self, stream: str, seen: int | None) -> None:
        """A room without a position is in this log, at this place if there is nothing to come before it."""
        if stream != self.stream:
            self._forget_queue()
        self.stream, self.seen = stream, seen

    def is_new(self, number: int) -> bool:
        return self.seen is None or number > self.seen

    def delivered(self, number: int | None) -> None:
        if number is not None:
            self.seen = number
        self._queue.append(number)

    def pass_by(self, number: int) -> None:
        """There is nothing for us up to here."""
        if self.is_new(number):
            self.seen = number
        self.settle()

    def handled(self) -> None:
        """The oldest event that was delivered was handled."""
        if not self._queue:
            return
        number = self._queue.popleft()
        if self._queue:
            if number is not None:
                self._move_cursor(number)
        else:
            self.settle()

    def settle(self) -> None:
        """When nothing is left to handle, everything that was seen is."""
        if not self._queue and self.seen is not None:
            self._move_cursor(self.seen)

    def move(self, stream: str, event_id: int) -> None:
        """A snapshot was taken: positions of events that were delivered before move no cursor any more."""
        self._forget_queue()
        self.stream, self.seen = stream, event_id
        self._move_cursor(event_id)

    def _forget_queue(self) -> None:
        self._queue = deque([None] * len(self._queue))

    def _move_cursor(self, to: int) -> None:
        if self._cursor != (self.stream, to):
            self._cursor = (self.stream, to)
            self._core.emit(Cursor(self._room, self.stream, to))

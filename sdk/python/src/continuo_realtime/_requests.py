"""Requests and their answers: sent when their room is joined, and again when the connection was lost and they may be."""

from __future__ import annotations

from dataclasses import dataclass

from . import inputs
from ._core import Core
from ._rooms import Rooms
from .codec import Frame
from .effects import Answer, Failed, Send

MOST_WAITING = 256
MOST_RETRIES = 5


@dataclass(slots=True)
class _Pending:
    id: str
    frame: Frame
    again: bool
    sent: bool = False
    rests_until: int = 0  # after a retryable error
    tries: int = 0


class Requests:
    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._pending: dict[str, _Pending] = {}

    def refuse(self, event: inputs.Request) -> None:
        self._core.emit(Failed(event.id, "closed", "the client is closed", False))

    def add(self, event: inputs.Request) -> None:
        one = _Pending(event.id, {**event.frame, "correlation_id": event.id}, event.again)
        if self._ready(one):
            self._pending[one.id] = one
            self._send(one)
        elif one.frame.get("ephemeral"):
            self._fail(one, "not_connected", "the room is not joined now", True)
        elif sum(not other.sent for other in self._pending.values()) >= MOST_WAITING:
            self._fail(one, "queue_full", f"{MOST_WAITING} requests are waiting", True)
        else:
            self._pending[one.id] = one

    def _ready(self, one: _Pending) -> bool:
        room = one.frame.get("room_id")
        if room is not None and self._rooms.wanted(room):
            return self._core.greeted and self._rooms.joined(room)
        return self._core.greeted and not one.frame.get("ephemeral")

    def _send(self, one: _Pending) -> None:
        one.sent = True
        self._core.emit(Send(one.frame))

    def flush(self) -> None:
        """Sends what waits and need not wait any more, in order."""
        for one in self._pending.values():
            if not one.sent and one.rests_until <= self._core.now and self._ready(one):
                self._send(one)

    def cancel(self, event: inputs.Cancel) -> None:
        self._drop(event.id)

    def answer(self, frame: Frame) -> bool:
        """Whether a frame was the answer to a request."""
        one = self._pending.get(frame["correlation_id"])
        if one is None or not one.sent:
            return False
        if frame["kind"] != "server.error":
            self._drop(one.id)
            self._core.emit(Answer(one.id, frame))
        elif frame.get("retryable") and one.again and one.tries < MOST_RETRIES:
            self._rest(one, frame.get("retry_after_ms", 0))
        else:
            self._drop(one.id)
            retryable = bool(frame.get("retryable"))
            self._fail(one, frame["code"], frame.get("message", ""), retryable, frame.get("version"))
        return True

    def _rest(self, one: _Pending, at_least: int) -> None:
        delay = self._core.delay(one.tries, at_least)
        one.tries += 1
        one.sent, one.rests_until = False, self._core.now + delay
        if delay > 0:
            self._core.wake(f"request {one.id}", delay, self.flush)
        else:
            self.flush()

    def connected(self) -> None:
        """What rests goes on resting, what does not is sent."""
        for one in self._pending.values():
            if one.rests_until > self._core.now:
                self._core.wake(f"request {one.id}", one.rests_until - self._core.now, self.flush)
        self.flush()

    def lost(self) -> None:
        """The connection is gone."""
        for one in list(self._pending.values()):
            self._core.forget(f"request {one.id}")
            if one.sent and one.again:
                one.sent = False
            elif one.sent:
                self._drop(one.id)
                self._fail(one, "outcome_unknown", "the connection was lost before the answer", False)

    def fail_all(self) -> None:
        pending, self._pending = self._pending, {}
        for one in pending.values():
            self._fail(one, "closed", "the client is closed", False)

    def _drop(self, id: str) -> None:
        self._pending.pop(id, None)
        self._core.forget(f"request {id}")

    def _fail(self, one: _Pending, code: str, message: str, retryable: bool, version: int | None = None) -> None:
        self._core.emit(Failed(one.id, code, message, retryable, version))

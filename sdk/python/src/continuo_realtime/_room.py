"""One room of a session.

join ─► joining ─► resuming ─► live ◄─► behind
           ▲           └─► snapshot ─┘
           └── the connection was lost, or the server let go of the room
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from . import inputs
from ._core import Core
from .codec import Frame
from .effects import Cursor, Deliver, FetchSnapshot, RoomState

EVENTS = frozenset(
    (
        "chat.message",
        "message.update",
        "message.append",
        "message.delete",
        "message.reactions",
        "presence.joined",
        "presence.updated",
        "presence.left",
        "presence.changed",
        "room.presence",
    )
)


class Room:
    def __init__(self, core: Core, options: inputs.Join, buffer: int, changed: Callable[[], None]) -> None:
        self._core = core
        self.options = options
        self._name = options.room
        self._buffer = buffer
        self._changed = changed
        self._state: Frame = {}
        self._phase = ""
        self._join_id: str | None = None  # of the join that is not answered yet
        self._sent_stream: str | None = None  # the stream of the position that it named
        self.joined = False
        self._stream = ""
        self._seen: int | None = None
        self._cursor: int | None = None
        self._waiting: deque[tuple[str, int]] = deque()  # delivered and not handled; 0 for events without an id
        self._missed = 0
        self._resumed = False
        self._tries = 0
        self._error: Frame | None = None
        self._required: FetchSnapshot | None = None
        self._held: list[Frame] = []
        self._overflow = False
        self._fetches = 0
        if options.cursor is not None:
            self._stream = options.cursor["stream_id"]
            self._seen = self._cursor = options.cursor["event_id"]

    @property
    def refused(self) -> bool:
        return self._phase == "refused"

    # Joining and leaving.

    def begin(self) -> None:
        self._become("joining")
        self.send_join()

    def send_join(self) -> None:
        if not self._core.up:
            return
        self._join_id = self._core.next_id()
        positioned = self._seen is not None
        self._sent_stream = self._stream if positioned else None
        self._core.send(
            "client.join",
            self._name,
            correlation_id=self._join_id,
            resume_from=self._seen,
            stream_id=self._sent_stream,
            rewind=None if positioned else self.options.rewind,
            presence=self.options.presence,
            presence_data=self.options.presence_data,
            events=self.options.events,
        )

    def _rejoin(self) -> None:
        """Leaves, and joins from `seen`; what comes before that join's answer is dropped."""
        self.joined = False
        if self._core.up:
            self._core.send("client.leave", self._name, correlation_id=self._core.next_id())
            self.send_join()

    def leave(self) -> None:
        self._forget_timers()
        if self._core.up and (self.joined or self._join_id is not None):
            self._core.send("client.leave", self._name, correlation_id=self._core.next_id())
        self._become("left")

    def lost(self) -> None:
        self._forget_timers()
        self.joined = False
        self._join_id = None
        self._held.clear()
        if not self.refused:
            self._become("joining")

    def _forget_timers(self) -> None:
        self._core.forget(f"room {self._name}", f"snapshot {self._name}")

    def _again_later(self, at_least: int) -> None:
        self._become("joining")
        self._core.wake(f"room {self._name}", self._core.delay(self._tries, at_least), self.send_join)
        self._tries += 1

    def _turned_away(self, error: Frame) -> None:
        if error.get("retryable"):
            self._again_later(error.get("retry_after_ms", 0))
        else:
            self._become("refused", code=error["code"], message=error.get("message", ""))
            self._changed()

    # Frames.

    def frame(self, kind: str, frame: Frame) -> None:
        if self._join_id is not None:
            self._answered(kind, frame)
        elif not self.joined:
            return
        elif kind in EVENTS:
            self._event(frame)
        elif kind == "room.position":
            self._pass(frame["event_id"])
            self._settle()
        elif kind == "room.resumed":
            self._replayed(frame)
        elif kind == "room.snapshot_required":
            self._require(frame["reason"], frame["stream_id"], frame["event_id"], frame.get("snapshot_url", ""))
        elif kind == "server.error":
            self._error = frame
            self._core.warn(f"room {self._name}: {frame['code']}: {frame.get('message', '')}")
        elif kind == "room.left":
            self._dropped()

    def _answered(self, kind: str, frame: Frame) -> None:
        said = frame.get("correlation_id")
        if kind == "room.joined" and said in (None, self._join_id):
            self._join_id = None
            self._joined(frame)
        elif kind == "server.error" and said == self._join_id:
            self._join_id = None
            self._turned_away(frame)

    def _joined(self, frame: Frame) -> None:
        self.joined = True
        self._tries, self._missed, self._error = 0, 0, None
        self._resumed = frame.get("resumed", False)
        stream, head, replaying = frame["stream_id"], frame["event_id"], frame.get("replaying", 0)
        if self._resumed and self._sent_stream not in (None, stream):
            self._require("stream_reset", stream, head, "")
        elif self._resumed or replaying or self._sent_stream is not None:
            self._become("resuming", replaying=replaying)
        else:
            self._become("live", resumed=False, missed=0)
        if self._sent_stream is None:
            self._stream = stream
            if self._phase == "live":
                self._seen = head
        if "members" in frame:
            self._event(frame)
        self._changed()
        self._settle()

    def _replayed(self, frame: Frame) -> None:
        self._pass(frame["event_id"])
        if self._phase == "resuming":
            self._become("live", resumed=True, missed=self._missed)
        self._settle()

    def _dropped(self) -> None:
        self.joined = False
        error, self._error = self._error, None
        self._turned_away(error or {"retryable": True})

    # Events and positions.

    def _event(self, frame: Frame) -> None:
        if self._phase == "snapshot":
            if len(self._held) < self._buffer and not self._overflow:
                self._held.append(frame)
            else:
                self._overflow = True
                self._held.clear()
                self._become("behind")
        elif self._phase != "behind":
            self._deliver(frame)

    def _deliver(self, frame: Frame) -> None:
        number = 0 if frame["kind"] == "room.joined" else frame.get("event_id", 0)
        if number and self._seen is not None and number <= self._seen:
            return
        if len(self._waiting) >= self._buffer:
            self._become("behind")
            return
        if number:
            self._seen = number
            self._missed += 1
        self._waiting.append((self._stream, number))
        self._core.emit(Deliver(self._name, frame))

    def _pass(self, event_id: int) -> None:
        if self._phase not in ("snapshot", "behind") and (self._seen is None or event_id > self._seen):
            self._seen = event_id

    def handled(self) -> None:
        if not self._waiting:
            return
        stream, number = self._waiting.popleft()
        if self._waiting:
            if number and stream == self._stream:
                self._move_cursor(number)
        else:
            self._settle()
        if (
            self._phase == "behind"
            and self.joined
            and self._required is None
            and len(self._waiting) <= self._buffer // 2
        ):
            self._rejoin()

    def _settle(self) -> None:
        if not self._waiting and self._seen is not None:
            self._move_cursor(self._seen)

    def _move_cursor(self, to: int) -> None:
        if self._cursor is None or to > self._cursor:
            self._cursor = to
            self._core.emit(Cursor(self._name, self._stream, to))

    # Snapshots.

    def _require(self, reason: str, stream: str, event_id: int, url: str) -> None:
        self._core.forget(f"snapshot {self._name}")
        self._held.clear()
        self._overflow = False
        self._fetches = 0
        self._required = FetchSnapshot(self._name, reason, stream, event_id, url)
        self._become("snapshot", reason=reason)
        self._core.emit(self._required)

    def snapshot(self, stream: str, event_id: int) -> None:
        required, self._required = self._required, None
        held, self._held = self._held, []
        fits = required is not None and stream == required.stream_id and event_id >= required.event_id
        self._stream, self._seen, self._cursor = stream, event_id, event_id
        if fits and self._phase == "snapshot":
            self._become("live", resumed=False, missed=0)
            for frame in held:
                self._event(frame)
        elif self._join_id is not None or self.joined:
            self._rejoin()
        self._core.emit(Cursor(self._name, stream, event_id))

    def snapshot_failed(self) -> None:
        required = self._required
        if required is not None and self.joined:
            delay = self._core.delay(self._fetches)
            self._fetches += 1
            self._core.wake(f"snapshot {self._name}", delay, lambda: self._core.emit(required))

    def _become(self, phase: str, **more: object) -> None:
        self._phase = phase
        state = {"state": phase, **more}
        if state != self._state:
            self._state = state
            self._core.emit(RoomState(self._name, state))

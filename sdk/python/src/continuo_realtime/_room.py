"""One room of a session.

join ─► joining ─► resuming ─► live ◄─► behind
           ▲           └─► snapshot ─┘
           └── the connection was lost, or the server let go of the room
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import inputs
from ._core import Core
from ._position import Place
from .codec import Frame
from .effects import Deliver, FetchSnapshot, RoomState

STABLE_MS = 10_000

# Kinds that go to the application.
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
    """Where a room stands. `changed` is called when it was joined, or is refused."""

    def __init__(self, core: Core, options: inputs.Join, buffer: int, changed: Callable[[], None]) -> None:
        self._core = core
        self.options = options
        self._name = options.room
        self._buffer = buffer
        self._changed = changed
        self._state: dict[str, Any] = {}
        self._phase = ""
        self._place = Place(core, options.room, options.cursor)
        self._join_id: str | None = None  # of the join that is not answered yet
        self._sent_stream: str | None = None  # the stream of the position that it named
        self.joined = False
        self._joined_at = 0
        self._unproven = False  # a position was sent and is not resumed: what is missing comes as a snapshot
        self._resumed = False
        self._missed = 0
        self._tries = 0
        self._error: Frame | None = None  # the last one that answered nothing
        self._required: FetchSnapshot | None = None
        self._fetching = False  # the snapshot is being loaded, or will be
        self._held: list[Frame] = []
        self._overflow = False
        self._fetches = 0  # in vain

    @property
    def refused(self) -> bool:
        return self._phase == "refused"

    def _become(self, phase: str, **more: object) -> None:
        self._phase = phase
        state = {"state": phase, **more}
        if state != self._state:
            self._state = state
            self._core.emit(RoomState(self._name, state))

    # Joining and leaving.

    def begin(self) -> None:
        if self._place.seen is None:
            self._place = Place(self._core, self._name, self.options.cursor)
        self._become("joining")
        self.send_join()

    def send_join(self) -> None:
        if not self._core.up:
            return
        seen = self._place.seen
        self._sent_stream = None if seen is None else self._place.stream
        self._join_id = self._core.ask(
            "client.join",
            self._name,
            resume_from=seen,
            stream_id=self._sent_stream,
            rewind=self.options.rewind if seen is None else None,
            presence=self.options.presence,
            presence_data=self.options.presence_data,
            events=self.options.events,
        )

    def _rejoin(self) -> None:
        """Leaves, and joins from `seen`; what comes before that join's answer is dropped."""
        self._drop()
        self._become("joining")
        self._core.ask("client.leave", self._name)
        self.send_join()

    def leave(self) -> None:
        connected = self._core.up and (self.joined or self._join_id is not None)
        self._drop()
        self._become("left")
        if connected:
            self._core.ask("client.leave", self._name)

    def lost(self) -> None:
        self._drop()
        if not self.refused:
            self._become("joining")

    def _drop(self) -> None:
        """The room is not joined any more."""
        if self.joined and self._core.now - self._joined_at >= STABLE_MS:
            self._tries = 0
        self.joined = self._unproven = False
        self._join_id = None
        self._required = None
        self._held = []
        self._core.forget(f"room {self._name}", f"snapshot {self._name}")

    def _turned_away(self, error: Frame) -> None:
        if error.get("retryable"):
            self._become("joining")
            delay = self._core.delay(self._tries, error.get("retry_after_ms", 0))
            self._tries += 1
            self._core.wake(f"room {self._name}", delay, self.send_join)
        else:
            self._become("refused", code=error["code"], message=error.get("message", ""))
            self._changed()

    # Frames.

    def frame(self, kind: str, frame: Frame) -> None:
        if self._join_id is not None:
            self._answered(kind, frame)
        elif not self.joined:
            if kind == "server.error":
                self._core.warn_of(frame)
        elif kind in EVENTS:
            if kind != "room.presence" or "correlation_id" not in frame:
                self._event(frame)
        elif kind == "room.position":
            if self._phase in ("resuming", "live") and not self._unproven:
                self._place.pass_by(frame["event_id"])
        elif kind == "room.resumed":
            if self._phase == "resuming" and not self._unproven:
                self._become("live", resumed=self._resumed, missed=self._missed)
                self._place.pass_by(frame["event_id"])
                self._fetches = 0
        elif kind == "room.snapshot_required":
            if self._phase != "behind" or self._required is not None:
                self._require(frame["reason"], frame["stream_id"], frame["event_id"], frame.get("snapshot_url", ""))
        elif kind == "server.error":
            self._core.warn_of(frame)
            if "correlation_id" not in frame:
                self._error = frame
        elif kind == "room.left" and "correlation_id" not in frame:
            self._drop()
            self._turned_away(self._error or {"retryable": True})

    def _answered(self, kind: str, frame: Frame) -> None:
        said = frame.get("correlation_id")
        if kind == "room.joined" and said in (None, self._join_id):
            self._join_id = None
            self._joined(frame)
        elif kind == "server.error" and said == self._join_id:
            self._join_id = None
            self._turned_away(frame)
        elif kind == "server.error":
            self._core.warn_of(frame)

    def _joined(self, frame: Frame) -> None:
        self.joined = True
        self._joined_at = self._core.now
        self._missed, self._error = 0, None
        stream, resumed, replaying = frame["stream_id"], frame.get("resumed", False), frame.get("replaying", 0)
        self._resumed = resumed
        positioned = self._sent_stream is not None
        if positioned and resumed and stream != self._sent_stream:
            self._require("stream_reset", stream, frame["event_id"], "")
        elif positioned or resumed or replaying:
            self._unproven = positioned and not resumed
            self._become("resuming", replaying=replaying)
        else:
            self._become("live", resumed=False, missed=0)
            self._fetches = 0
        if not positioned:
            self._place.begin(stream, frame["event_id"] if self._phase == "live" else None)
        if "members" in frame:
            self._hand_over(frame, None)
        self._changed()
        self._place.settle()

    # Events.

    def _event(self, frame: Frame) -> None:
        number = frame.get("event_id")
        if self._phase == "behind":
            return
        if self._required is not None and number is not None:
            self._hold(frame, number, self._required.event_id)
        elif number is None or (self._place.is_new(number) and not self._unproven):
            self._hand_over(frame, number)

    def _hand_over(self, frame: Frame, number: int | None) -> None:
        if self._place.waiting >= self._buffer:
            self._required = None
            self._become("behind")
            return
        self._missed += number is not None
        self._place.delivered(number)
        self._core.emit(Deliver(self._name, frame))

    def handled(self) -> None:
        self._place.handled()
        if (
            self._phase == "behind"
            and self._required is None
            and self.joined
            and self._place.waiting <= self._buffer // 2
        ):
            self._rejoin()

    # Snapshots.

    def _require(self, reason: str, stream: str, event_id: int, url: str) -> None:
        self._held, self._overflow, self._unproven = [], False, False
        self._required = FetchSnapshot(self._name, reason, stream, event_id, url)
        self._become("snapshot", reason=reason)
        self._fetch()

    def _fetch(self) -> None:
        """Has the snapshot loaded: at once, or after a delay if that was in vain before."""
        required = self._required
        assert required is not None
        if self._fetches == 0:
            self._core.emit(required)
        else:
            delay = self._core.delay(self._fetches - 1)
            self._core.wake(f"snapshot {self._name}", delay, lambda: self._core.emit(required))

    def _hold(self, frame: Frame, number: int, above: int) -> None:
        if number <= above:
            return
        if len(self._held) < self._buffer:
            self._held.append(frame)
        else:
            self._held, self._overflow = [], True
            self._become("behind")

    def snapshot(self, stream: str, event_id: int) -> None:
        required = self._required
        if required is None:
            return
        fits = stream == required.stream_id and event_id >= required.event_id
        self._fetches = 0 if fits else self._fetches + 1
        self._place.move(stream, event_id)
        if not fits or self._overflow:
            self._rejoin()
            return
        held, self._held, self._required = self._held, [], None
        self._core.forget(f"snapshot {self._name}")
        self._become("live", resumed=False, missed=0)
        for frame in held:
            self._event(frame)

    def snapshot_failed(self) -> None:
        if self._required is not None:
            self._fetches += 1
            self._fetch()

"""What the parts of a session share: the effects of this step, its time and chance, and the times to wake up at."""

from __future__ import annotations

from collections.abc import Callable

from .codec import Frame
from .effects import Effect, Send, SetTimer, Warn

MAX_EXPONENT = 40  # beyond it every back-off is at its maximum


class Core:
    """Shared by the machines of the connection, the rooms and the requests; belongs to one session."""

    def __init__(self) -> None:
        self.now = 0
        self.random = 0.0
        self.out: list[Effect] = []
        self.base_ms = 500
        self.max_ms = 30_000
        self.up = False  # client.hello was sent on the connection that is there: frames can be sent
        self.greeted = False  # and was answered
        self._ids = 0
        self._due: dict[str, tuple[int, Callable[[], None]]] = {}
        self._announced: int | None = None

    def begin(self, now: int, random: float) -> None:
        self.now, self.random, self.out = now, random, []

    def end(self) -> list[Effect]:
        """The effects of the step; the timer is the last of them, if the earliest time has changed."""
        earliest = min([due for due, _ in self._due.values()], default=None)
        if earliest != self._announced:
            self._announced = earliest
            self.out.append(SetTimer(None if earliest is None else max(0, earliest - self.now)))
        return self.out

    def emit(self, effect: Effect) -> None:
        self.out.append(effect)

    def send(self, kind: str, room: str | None = None, **members: object) -> None:
        """Sends a frame; members that are None are left out."""
        frame: Frame = {"kind": kind}
        if room is not None:
            frame["room_id"] = room
        frame.update((name, value) for name, value in members.items() if value is not None)
        self.out.append(Send(frame))

    def ask(self, kind: str, room: str | None = None, **members: object) -> str:
        """Sends a frame that is answered; returns its correlation id."""
        self._ids += 1
        self.send(kind, room, correlation_id=f"s{self._ids}", **members)
        return f"s{self._ids}"

    def warn_of(self, error: Frame) -> None:
        room = f"room {error['room_id']}: " if "room_id" in error else ""
        self.warn(f"{room}{error['code']}: {error.get('message', '')}")

    def warn(self, message: str) -> None:
        self.out.append(Warn(message))

    def wake(self, name: str, in_ms: int, do: Callable[[], None]) -> None:
        """Does something later, in place of what had the same name."""
        self._due[name] = (self.now + in_ms, do)

    def forget(self, *names: str) -> None:
        for name in names:
            self._due.pop(name, None)

    def forget_all(self) -> None:
        self._due.clear()

    def fire(self) -> None:
        """Does what is due, in the order of the times."""
        self._announced = None
        due = sorted((at, name) for name, (at, _) in self._due.items() if at <= self.now)
        for at, name in due:
            if (entry := self._due.get(name)) and entry[0] == at:
                del self._due[name]
                entry[1]()

    def delay(self, n: int, at_least: int = 0) -> int:
        """A delay with full jitter after n failures."""
        return max(at_least, int(self.random * min(self.max_ms, self.base_ms << min(n, MAX_EXPONENT))))

"""What a session wants done: the effects of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .codec import Frame


@dataclass(slots=True)
class WantToken:
    """Ask the token callback."""


@dataclass(slots=True)
class Dial:
    """Open a connection. One that is still there is forgotten first."""

    token: str | None


@dataclass(slots=True)
class Send:
    frame: Frame


@dataclass(slots=True)
class HangUp:
    """Close the connection; nothing that it still says matters."""

    code: int


@dataclass(slots=True)
class SetTimer:
    """Wake the session up then, and forget the timer from before; None: no timer."""

    in_ms: int | None


@dataclass(slots=True)
class Deliver:
    """An event for the application, in order."""

    room: str
    frame: Frame


@dataclass(slots=True)
class Cursor:
    """Store this position: everything up to it was handled."""

    room: str
    stream_id: str
    event_id: int


@dataclass(slots=True)
class FetchSnapshot:
    """Load the state of a room and hand it over."""

    room: str
    reason: str
    stream_id: str
    event_id: int
    url: str


@dataclass(slots=True)
class Answer:
    """A request was answered."""

    id: str
    frame: Frame


@dataclass(slots=True)
class Failed:
    """A request has failed."""

    id: str
    code: str
    message: str
    retryable: bool
    version: int | None = None


@dataclass(slots=True)
class State:
    """The state of the connection has changed."""

    state: dict[str, Any]


@dataclass(slots=True)
class RoomState:
    """The state of a room has changed."""

    room: str
    state: dict[str, Any]


@dataclass(slots=True)
class Warn:
    """Something odd was survived."""

    message: str


Effect = (
    WantToken
    | Dial
    | Send
    | HangUp
    | SetTimer
    | Deliver
    | Cursor
    | FetchSnapshot
    | Answer
    | Failed
    | State
    | RoomState
    | Warn
)

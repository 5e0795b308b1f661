"""What happens to a session: the inputs of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .codec import Frame


@dataclass(slots=True)
class Connect:
    """The application wants to be connected."""


@dataclass(slots=True)
class Token:
    """The answer to WantToken; None is an anonymous session."""

    token: str | None


@dataclass(slots=True)
class TokenFailed:
    """The token callback threw."""

    message: str


@dataclass(slots=True)
class Opened:
    """The WebSocket is open."""


@dataclass(slots=True)
class Read:
    """A frame was read."""

    frame: Frame


@dataclass(slots=True)
class Malformed:
    """Something was read that is no frame."""

    message: str


@dataclass(slots=True)
class Refused:
    """The handshake was answered with an HTTP status, or by nothing."""

    status: int = 0
    retry_after_ms: int = 0


@dataclass(slots=True)
class Closed:
    """The connection ended; 1006 when without a close frame."""

    code: int = 1006


@dataclass(slots=True)
class Timer:
    """The time of the last SetTimer has come."""


@dataclass(slots=True)
class Offline:
    """The platform has lost its network."""


@dataclass(slots=True)
class Online:
    """The platform has a network again."""


@dataclass(slots=True)
class Visible:
    """The application came to the front."""


@dataclass(slots=True)
class Join:
    """Join a room, and stay joined over connections."""

    room: str
    presence: str | None = None
    presence_data: Any = None
    events: list[str] | None = None
    rewind: dict[str, int] | None = None
    cursor: dict[str, Any] | None = None


@dataclass(slots=True)
class Leave:
    room: str


@dataclass(slots=True)
class Request:
    """Send a frame and wait for its answer; `again`: it may be sent a second time."""

    id: str
    frame: Frame
    again: bool = False


@dataclass(slots=True)
class Cancel:
    """Nobody waits for that answer any more."""

    id: str


@dataclass(slots=True)
class Handled:
    """The application has handled the oldest event of the room that was delivered and not yet handled."""

    room: str


@dataclass(slots=True)
class Snapshot:
    """A snapshot was loaded and handed over."""

    room: str
    stream_id: str
    event_id: int


@dataclass(slots=True)
class SnapshotFailed:
    room: str


@dataclass(slots=True)
class Close:
    """The application is done."""


Input = (
    Connect
    | Token
    | TokenFailed
    | Opened
    | Read
    | Malformed
    | Refused
    | Closed
    | Timer
    | Offline
    | Online
    | Visible
    | Join
    | Leave
    | Request
    | Cancel
    | Handled
    | Snapshot
    | SnapshotFailed
    | Close
)

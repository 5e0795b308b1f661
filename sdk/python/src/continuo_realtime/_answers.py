"""What the server part is given and answers, as types.

An answer is the server's JSON as it came: members that a newer server adds are in it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict

Op = Literal["update", "append", "delete"]
Direction = Literal["newest_first", "oldest_first"]
Right = Literal["join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"]

ALL_RIGHTS: Final[tuple[Right, ...]] = (
    "join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react",
)  # fmt: skip
"""All that a token can allow."""


class RoomRight(TypedDict):
    """What a token allows in the rooms of a pattern; `*` stands for any characters."""

    pattern: str
    can: Sequence[Right]


class BatchItem(TypedDict):
    """One message of a batch: the arguments of `publish`."""

    room: str
    event: str
    data: Any
    key: NotRequired[str | None]
    ephemeral: NotRequired[bool]
    socket_id: NotRequired[str | None]
    idempotency_key: NotRequired[str | None]


class Published(TypedDict):
    """Where a message was written. It is empty for an ephemeral one, which is nowhere."""

    stream_id: str
    serial: int
    entry_id: str
    message_serial: str
    version: int


class Mutated(TypedDict):
    """What became of a change; a `duplicate` was applied before, under the same `op_id`."""

    channel: str
    message_serial: str
    action: Op
    accepted: bool
    version_serial: str
    history_serial: int
    delivery_serial: int
    version: int
    status: Literal["applied", "duplicate"]


class Bounds(TypedDict):
    """The range that a history was asked for."""

    start_serial: int | None
    end_serial: int | None
    start_time_ms: int | None
    end_time_ms: int | None


class _Page(TypedDict):
    direction: Direction
    limit: int
    has_more: bool
    next_cursor: str | None
    bounds: Bounds


class _Retained(TypedDict):
    stream_id: str
    oldest_available_serial: int | None
    newest_available_serial: int | None
    oldest_available_published_at_ms: int | None
    newest_available_published_at_ms: int | None
    retained_bytes: int
    complete: bool
    truncated_by_retention: bool


class Continuity(_Retained):
    """What of a log can still be read, and whether the page is all that was asked for."""

    retained_messages: int


class PresenceContinuity(_Retained):
    """The same of a presence log, which is `degraded` while it misses something."""

    retained_events: int
    degraded: bool


class _State(TypedDict):
    stream_id: str
    durable_state: str
    reset_required: bool
    reason: str | None
    node_id: str | None
    last_transition_at_ms: int | None
    authoritative_source: str
    observed_source: str


class StreamState(_State):
    """How a log is."""

    recovery_allowed: bool


class PresenceState(_State):
    """How a presence log is."""

    continuity_proven: bool


class MessageVersion(TypedDict):
    """Which version of a message is shown."""

    serial: str
    number: int
    timestamp_ms: int
    client_id: NotRequired[str]
    description: NotRequired[str]
    metadata: NotRequired[Any]


class HistoryMessage(TypedDict):
    """A message in its newest version. Only one that may change, or has a key, has the members from `action` on."""

    event: str
    channel: str
    stream_id: str
    serial: int
    message_id: NotRequired[str]
    data: NotRequired[Any]
    name: NotRequired[str]
    user_id: NotRequired[str]
    tags: NotRequired[dict[str, Any]]
    extras: NotRequired[dict[str, Any]]
    action: NotRequired[str]
    key: NotRequired[str]
    message_serial: NotRequired[str]
    history_serial: NotRequired[int]
    delivery_serial: NotRequired[int]
    version: NotRequired[MessageVersion]
    annotations: NotRequired[dict[str, Any]]


class HistoryItem(TypedDict):
    """One row of a history."""

    stream_id: str
    serial: int
    published_at_ms: int
    message_id: NotRequired[str]
    event_name: str
    operation_kind: str
    payload_size_bytes: int
    message: HistoryMessage


class HistoryPage(_Page):
    """A page of what was published. `next_cursor` leads to the next one."""

    items: list[HistoryItem]
    continuity: Continuity
    stream_state: StreamState


class SnapshotItem(TypedDict):
    """A message as it is, or was at the moment of the snapshot."""

    key: NotRequired[str]
    message_serial: str
    version: int
    event: str
    data: NotRequired[Any]
    user_id: NotRequired[str]
    tags: NotRequired[dict[str, Any]]
    extras: NotRequired[dict[str, Any]]
    serial: int
    history_serial: int
    published_at_ms: int
    updated_at_ms: int
    annotations: NotRequired[dict[str, Any]]


class SnapshotPage(TypedDict):
    """A page of the state of a room. All pages that `next_cursor` leads to are of one moment, `serial`."""

    channel: str
    stream_id: str
    serial: int
    entry_id: str
    epoch: str
    complete: bool
    items: list[SnapshotItem]
    has_more: bool
    next_cursor: str | None


class _Change(TypedDict):
    stream_id: str
    serial: int
    published_at_ms: int
    event: str
    cause: str
    user_id: str
    connection_id: str | None
    dead_node_id: str | None


class PresenceEvent(_Change):
    """Who came, changed or went, with what presence showed of them."""

    user_info: Any
    observed_at: NotRequired[int]


class PresenceItem(_Change):
    """One row of a presence history."""

    payload_size_bytes: int
    presence_event: PresenceEvent


class PresencePage(_Page):
    """A page of who came, changed and went."""

    items: list[PresenceItem]
    continuity: PresenceContinuity
    stream_state: PresenceState


class PresenceMember(TypedDict):
    """A user who was there."""

    user_id: str
    user_info: NotRequired[Any]
    last_event: str
    last_event_serial: int
    last_event_at_ms: int


class PresenceSnapshot(TypedDict):
    """Who was there at a moment; `snapshot_serial` is None before the first entry."""

    channel: str
    members: list[PresenceMember]
    member_count: int
    events_replayed: int
    snapshot_serial: int | None
    snapshot_time_ms: int | None
    continuity: PresenceContinuity

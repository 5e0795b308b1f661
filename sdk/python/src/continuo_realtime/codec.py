"""Text frames to values and back. A frame stays a dict with its wire names; what is known of it is checked here, once."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

Frame = dict[str, Any]


class Malformed(ValueError):
    """A text that is no frame of the rooms protocol."""


KINDS = frozenset(
    (
        "server.hello",
        "server.error",
        "server.pong",
        "server.reconnect",
        "server.token_expiring",
        "server.auth_ok",
        "room.joined",
        "room.resumed",
        "room.position",
        "room.snapshot_required",
        "room.left",
        "room.history",
        "room.presence",
        "chat.accepted",
        "chat.message",
        "message.accepted",
        "message.update",
        "message.append",
        "message.delete",
        "message.reactions",
        "presence.joined",
        "presence.updated",
        "presence.left",
        "presence.changed",
    )
)

# The types of members, whatever the frame they stand on. A null is as good as an absent member.
_TYPES: dict[str, type] = {
    **dict.fromkeys(
        (
            "room_id stream_id message_id correlation_id session_id session_secret user_id sender text event key reason"
            " snapshot_url next_cursor code message cause"
        ).split(),
        str,
    ),
    **dict.fromkeys(
        (
            "event_id presence_id ts version edited_ts protocol_version protocol_min protocol_max server_time heartbeat_ms"
            " replaying count member_count retry_after_ms after_ms expires_at"
        ).split(),
        int,
    ),
    **dict.fromkeys(
        "resumable resumed verified truncated members_truncated has_more retryable ephemeral".split(),
        bool,
    ),
    **dict.fromkeys("counts limits retry".split(), dict),
    **dict.fromkeys("items members capabilities".split(), list),
}

_NAMES = {str: "a string", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}

# Without these a frame of its kind says nothing.
_NEEDED: dict[str, tuple[str, ...]] = {
    "room.joined": ("room_id", "stream_id", "event_id"),
    "room.resumed": ("room_id", "event_id"),
    "room.position": ("room_id", "event_id"),
    "room.snapshot_required": ("room_id", "stream_id", "event_id"),
    "room.left": ("room_id",),
    "server.error": ("code",),
}


def decode(text: str | bytes) -> Frame | None:
    """The frame of a text; None if its kind is not known, which is to be ignored. Raises Malformed."""
    try:
        frame = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a frame is no JSON: {error}") from error
    if type(frame) is not dict:
        raise Malformed(f"a frame is {_said(frame)}, not an object")
    kind = frame.get("kind")
    if type(kind) is not str:
        raise Malformed(f"the kind of a frame is {_said(kind)}, not a string")
    if kind not in KINDS:
        return None
    _check(frame, kind)
    for name in _NEEDED.get(kind, ()):
        if name not in frame:
            raise Malformed(f"{kind}: {name} is missing")
    return frame


def encode(frame: Frame) -> str:
    """The text of a frame. Raises ValueError or TypeError if it holds what JSON, or UTF-8, cannot say."""
    text = json.dumps(frame, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def _check(values: Frame, where: str) -> None:
    absent = []
    for name, value in values.items():
        wanted = _TYPES.get(name)
        if wanted is None or type(value) is wanted:
            if wanted is list:
                _check_list(value, name, where)
            elif wanted is dict:
                _check_object(value, name, where)
        elif value is None:
            absent.append(name)
        else:
            raise Malformed(f"{where}: {name} is {_said(value)}, not {_NAMES[wanted]}")
    for name in absent:
        del values[name]


def _check_list(values: list[Any], name: str, where: str) -> None:
    for value in values:
        if name == "capabilities":
            if type(value) is not str:
                raise Malformed(f"{where}: a capability is {_said(value)}, not a string")
        elif type(value) is not dict:
            raise Malformed(f"{where}: one of {name} is {_said(value)}, not an object")
        else:
            _check(value, f"{where}: one of {name}")


def _check_object(values: Frame, name: str, where: str) -> None:
    for key, value in values.items():
        if type(value) is int or not (name == "counts" or key in ("base_ms", "max_ms")):
            continue
        raise Malformed(f"{where}: {key} of {name} is {_said(value)}, not a whole number")


def _said(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "no number"
    return f"a {type(value).__name__}" if not isinstance(value, str | int | float | bool) else json.dumps(value)[:40]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")

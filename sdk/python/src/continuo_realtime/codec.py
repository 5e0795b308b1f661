"""Text frames to values and back. A frame stays a dict with its wire names; what is known of it is checked here, once."""

from __future__ import annotations

import json
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

_STRINGS = (
    "room_id stream_id message_id correlation_id session_id session_secret user_id sender text event key reason"
    " snapshot_url next_cursor code message cause"
)
_NUMBERS = (
    "event_id presence_id ts version edited_ts protocol_version protocol_min protocol_max server_time heartbeat_ms"
    " replaying count member_count retry_after_ms after_ms expires_at"
)
_FLAGS = "resumable resumed verified truncated members_truncated has_more retryable"

# The types of members, whatever the frame they stand on. A null is as good as an absent member.
_TYPES: dict[str, type] = {
    **dict.fromkeys(_STRINGS.split(), str),
    **dict.fromkeys(_NUMBERS.split(), int),
    **dict.fromkeys(_FLAGS.split(), bool),
    **dict.fromkeys(("counts", "retry"), dict),
    **dict.fromkeys(("items", "members"), list),
}

_NAMES = {str: "a string", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}

# Without these a frame of its kind says nothing.
_NEEDED: dict[str, tuple[str, ...]] = {
    "server.hello": ("session_id", "protocol_version"),
    "server.error": ("code",),
    "room.joined": ("room_id", "stream_id", "event_id"),
    "room.resumed": ("room_id", "event_id"),
    "room.position": ("room_id", "event_id"),
    "room.snapshot_required": ("room_id", "reason", "stream_id", "event_id"),
    "room.left": ("room_id",),
    "room.presence": ("room_id",),
    "room.history": ("room_id", "items"),
    "chat.message": ("room_id",),
    "message.update": ("room_id", "event_id", "message_id"),
    "message.append": ("room_id", "event_id", "message_id"),
    "message.delete": ("room_id", "event_id", "message_id"),
    "message.reactions": ("room_id", "event_id", "message_id"),
    "presence.joined": ("room_id", "user_id"),
    "presence.updated": ("room_id", "user_id"),
    "presence.left": ("room_id", "user_id"),
    "presence.changed": ("room_id", "count"),
}

_LARGEST = 2**53 - 1


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_decoder = json.JSONDecoder(parse_constant=_refuse)


def decode(text: str | bytes) -> Frame | None:
    """The frame of a text; None if its kind is not known, which is to be ignored. Raises Malformed."""
    try:
        frame = _decoder.decode(text if isinstance(text, str) else text.decode())
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
    _need(frame, kind, _NEEDED.get(kind, ()))
    if kind == "chat.message" and "event_id" in frame:
        _need(frame, kind, ("message_id",))
    return frame


def encode(frame: Frame) -> str:
    """The text of a frame. Raises ValueError or TypeError if it holds what JSON, or UTF-8, cannot say."""
    text = json.dumps(frame, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def _need(frame: Frame, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in frame:
            raise Malformed(f"{where}: {name} is missing")


def _check(values: Frame, where: str) -> None:
    absent = []
    for name, value in values.items():
        wanted = _TYPES.get(name)
        if wanted is None:
            continue
        if type(value) is wanted:
            if wanted is not str and wanted is not bool:
                _look_into(value, name, where)
        elif value is None:
            absent.append(name)
        else:
            raise Malformed(f"{where}: {name} is {_said(value)}, not {_NAMES[wanted]}")
    for name in absent:
        del values[name]


def _look_into(value: Any, name: str, where: str) -> None:
    if type(value) is int:
        if not 0 <= value <= _LARGEST:
            raise Malformed(f"{where}: {name} is {_said(value)}, not a whole number from 0 to 2^53-1")
    elif type(value) is dict:
        for key, inner in value.items():
            if name == "counts" or (key in ("base_ms", "max_ms") and inner is not None):
                if type(inner) is not int:
                    raise Malformed(f"{where}: {key} of {name} is {_said(inner)}, not a whole number")
                _look_into(inner, key, where)
    else:
        for inner in value:
            if type(inner) is not dict:
                raise Malformed(f"{where}: one of {name} is {_said(inner)}, not an object")
            _check(inner, f"{where}: one of {name}")
            if name == "members":
                _need(inner, f"{where}: one of {name}", ("user_id",))
            elif inner.get("kind") not in ("chat.message", "message.delete"):
                raise Malformed(f"{where}: one of {name} is of kind {_said(inner.get('kind'))}")


def _said(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str | int | float):
        return repr(value)[:40]
    return "a list" if isinstance(value, list) else "an object"

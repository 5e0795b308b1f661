"""From the events of a room to the list of messages that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .codec import Frame

Message = dict[str, Any]

_MEMBERS = ("message_id", "event_id", "sender", "ts", "text", "payload", "event", "key", "edited_ts", "counts")


class MessageList:
    """A fold: feed it the events of a room, and pages of its history, and it holds the messages as they are now.

    Messages have the members `message_id`, `event_id`, `sender`, `ts`, `text` or `payload`, `event`, `key`, `version`,
    `edited_ts`, `counts`, and `incomplete` where the text is not known until the message comes whole.
    """

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._sorted = True
        # What happened to messages that are not listed, since an older page may still come.
        self._gone: set[int] = set()
        self._passed: dict[int, int] = {}  # the version of the last change

    def apply(self, event: Frame) -> bool:
        """Takes one event; False if nothing has changed."""
        kind = event.get("kind")
        if kind == "room.snapshot":
            self.snapshot(event)
            return True
        number = _number(event)
        if number is None:
            return False
        if kind == "chat.message":
            return self._enter(number, event)
        message = self._messages.get(number)
        if message is None:
            self._remember(number, kind, event)
            return False
        match kind:
            case "message.update":
                return _update(message, event)
            case "message.append":
                return _append(message, event)
            case "message.delete":
                del self._messages[number]
                self._gone.add(number)
                return True
            case "message.reactions":
                return _react(message, event)
        return False

    def snapshot(self, event: Frame) -> None:
        """Replaces the list by the items of a snapshot."""
        self._messages.clear()
        self._gone.clear()
        self._passed.clear()
        self.history(event.get("items", ()))

    def history(self, items: Iterable[Frame]) -> None:
        """Takes the items of a page of history. A message that the list has in a newer version stays."""
        for item in items:
            number = _number(item)
            if number is not None and item.get("kind") == "chat.message":
                self._enter(number, item)

    def _enter(self, number: int, event: Frame) -> bool:
        before = self._messages.get(number)
        version = _version(event)
        if number in self._gone:
            return False
        if before is None:
            self._sorted = self._sorted and (not self._messages or number > next(reversed(self._messages)))
        elif version < before["version"] or (version == before["version"] and "incomplete" not in before):
            return False
        message = {name: event[name] for name in _MEMBERS if name in event}
        message["version"] = version
        if before is not None and "counts" in before:
            message.setdefault("counts", before["counts"])
        if (passed := self._passed.pop(number, 0)) > version:
            message.update(version=passed, incomplete=True)
        self._messages[number] = message
        return True

    def _remember(self, number: int, kind: str | None, event: Frame) -> None:
        if kind == "message.delete":
            self._gone.add(number)
        elif kind in ("message.update", "message.append"):
            self._passed[number] = max(self._passed.get(number, 0), _version(event))

    def __iter__(self) -> Iterator[Message]:
        """The messages in order of their ids, which is that of their creation."""
        if not self._sorted:
            self._messages = dict(sorted(self._messages.items()))
            self._sorted = True
        return iter(self._messages.values())

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, message_id: str) -> Message | None:
        """The message of an id, if the list has it."""
        number = _number({"message_id": message_id})
        return None if number is None else self._messages.get(number)


def _number(event: Frame) -> int | None:
    text = event.get("message_id")
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


def _version(event: Frame) -> int:
    version = event.get("version", 1)
    return version if type(version) is int else 1


def _update(message: Message, event: Frame) -> bool:
    if _version(event) <= message["version"]:
        return False
    for name in ("text", "payload", "incomplete"):
        message.pop(name, None)
    message.update((name, event[name]) for name in ("text", "payload", "event") if name in event)
    _edited(message, event)
    return True


def _append(message: Message, event: Frame) -> bool:
    version = _version(event)
    if version <= message["version"]:
        return False
    if version == message["version"] + 1 and "incomplete" not in message:
        message["text"] = message.get("text", "") + event.get("text", "")
    else:
        message["incomplete"] = True
    _edited(message, event)
    return True


def _react(message: Message, event: Frame) -> bool:
    if event.get("counts"):
        message["counts"] = event["counts"]
    else:
        message.pop("counts", None)
    return True


def _edited(message: Message, event: Frame) -> None:
    message["version"] = _version(event)
    if "ts" in event:
        message["edited_ts"] = event["ts"]

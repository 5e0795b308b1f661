"""From the events of a room to the list of messages that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .codec import Frame

Message = dict[str, Any]

_MEMBERS = ("message_id", "event_id", "sender", "ts", "text", "payload", "event", "key", "edited_ts", "counts")


class MessageList:
    """A fold: feed it the events of a room, its snapshots, and pages of its history, and it holds the messages as they are now.

    Messages have the members `message_id`, `event_id`, `sender`, `ts`, `text` or `payload`, `event`, `key`, `version`, `edited_ts`,
    `counts`, and `incomplete` where the text is not known until the message comes whole.
    """

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._sorted = True

    def apply(self, event: Frame) -> bool:
        """Takes one event, or a snapshot that was handed over; False if nothing has changed."""
        kind = event.get("kind")
        if kind == "room.snapshot":
            self.snapshot(event)
            return True
        number = _number(event)
        if number is None:
            return False
        if kind == "chat.message":
            return self._create(number, event)
        message = self._messages.get(number)
        if message is None:
            return False
        match kind:
            case "message.update":
                return _update(message, event)
            case "message.append":
                return _append(message, event)
            case "message.delete":
                del self._messages[number]
                return True
            case "message.reactions":
                message["counts"] = event.get("counts", {})
                return True
        return False

    def snapshot(self, snapshot: Frame) -> None:
        """Replaces the list by the messages of a snapshot."""
        self._messages.clear()
        self.history(snapshot.get("messages", ()))

    def history(self, items: Iterable[Frame]) -> None:
        """Takes the items of a page of history. A message that the list has in a newer version stays."""
        for item in items:
            number = _number(item)
            if number is not None and item.get("kind", "chat.message") == "chat.message":
                self._create(number, item)

    def _create(self, number: int, event: Frame) -> bool:
        before = self._messages.get(number)
        if before is None:
            self._sorted = self._sorted and (not self._messages or number > next(reversed(self._messages)))
        elif _version(event) <= before["version"] and not (
            before.get("incomplete") and _version(event) == before["version"]
        ):
            return False
        message = {name: event[name] for name in _MEMBERS if name in event}
        message["version"] = _version(event)
        if before is not None and "counts" in before and "counts" not in message:
            message["counts"] = before["counts"]
        self._messages[number] = message
        return True

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
    message.pop("text", None)
    message.pop("payload", None)
    message.pop("incomplete", None)
    for name in ("text", "payload"):
        if name in event:
            message[name] = event[name]
    _edited(message, event)
    return True


def _append(message: Message, event: Frame) -> bool:
    version = _version(event)
    if version <= message["version"]:
        return False
    if version == message["version"] + 1 and not message.get("incomplete"):
        message["text"] = message.get("text", "") + event.get("text", "")
    else:
        message["incomplete"] = True
    _edited(message, event)
    return True


def _edited(message: Message, event: Frame) -> None:
    message["version"] = _version(event)
    if "ts" in event:
        message["edited_ts"] = event["ts"]

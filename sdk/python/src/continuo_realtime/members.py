"""From the presence events of a room to the list of its members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .codec import Frame

Member = dict[str, Any]


class MemberList:
    """A fold: feed it the events of a room, and it holds the members as they are now, and how many there are.

    `count` is more than `len` where a room has more members than it names.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self.count = 0

    def apply(self, event: Frame) -> bool:
        """Takes one event, or an answer with members; False if nothing has changed."""
        kind = event.get("kind")
        if kind in ("room.joined", "room.presence"):
            return self._replace(event)
        if kind == "presence.changed":
            self.count = event.get("count", self.count)
            return True
        user = event.get("user_id")
        if not isinstance(user, str):
            return False
        known = user in self._members
        match kind:
            case "presence.joined" | "presence.updated":
                self._members[user] = _member(event)
                self.count += not known and kind == "presence.joined"
            case "presence.left":
                if not known and self.count <= len(self._members):
                    return False
                self._members.pop(user, None)
                self.count -= 1
            case _:
                return False
        return True

    def _replace(self, event: Frame) -> bool:
        if "members" not in event:
            return False
        self._members = {one["user_id"]: _member(one) for one in event["members"]}
        self.count = event.get("member_count", len(self._members))
        return True

    def __iter__(self) -> Iterator[Member]:
        """The members in order of their user ids."""
        return iter([self._members[user] for user in sorted(self._members)])

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._members


def _member(event: Frame) -> Member:
    return {name: event[name] for name in ("user_id", "info") if name in event}

"""Continuo's client library: rooms that resume where they were left. The server part is in `continuo_realtime.server`."""

from ._version import __version__
from .client import Client
from .describe import describe
from .errors import ContinuoError
from .members import Member, MemberList
from .messages import Message, MessageList
from .room import Accepted, Event, HistoryPage, Members, Room, SnapshotRequired
from .stores import CursorStore, FileStore, MemoryStore, Position

__all__ = [
    "Accepted",
    "Client",
    "ContinuoError",
    "CursorStore",
    "Event",
    "FileStore",
    "HistoryPage",
    "Member",
    "MemberList",
    "Members",
    "MemoryStore",
    "Message",
    "MessageList",
    "Position",
    "Room",
    "SnapshotRequired",
    "__version__",
    "describe",
]

"""The server part, for backends: publish, change, read, and mint tokens. Every write settles by itself whether it happened."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random as chance
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast, get_args
from urllib.parse import quote

from ._answers import (
    ALL_RIGHTS,
    BatchItem,
    Bounds,
    Continuity,
    Direction,
    HistoryItem,
    HistoryMessage,
    HistoryPage,
    MessageVersion,
    Mutated,
    Op,
    PresenceContinuity,
    PresenceEvent,
    PresenceItem,
    PresenceMember,
    PresencePage,
    PresenceSnapshot,
    PresenceState,
    Published,
    Right,
    RoomRight,
    SnapshotItem,
    SnapshotPage,
    StreamState,
)
from ._api import Answer, Credentials, call
from .errors import ContinuoError

TRIES = 6
BASE_MS = 200
MAX_MS = 10_000
MAX_AFTER_MS = 60_000


class Server:
    """The HTTP API of one app.

        server = Server("http://127.0.0.1:6001", "app-id", "app-key", "app-secret")
        await server.publish("lobby", "chat.message", "hello")

    Every write carries an idempotency key (a change: an op_id) and is repeated with it, after a random delay, when its outcome is not
    known: after network errors, HTTP 5xx and 429. So it happens once, and is reported as failed only after `tries`. What is ephemeral
    has no key, and no second try. Methods raise ContinuoError.
    """

    def __init__(
        self,
        url: str,
        app: str,
        key: str,
        secret: str,
        *,
        timeout: float = 10.0,
        tries: int = TRIES,
        random: Callable[[], float] = chance.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._credentials = Credentials(url.rstrip("/"), app, key, secret, timeout)
        self._tries = tries
        self._random = random
        self._sleep = sleep

    # Writing.

    async def publish(
        self,
        room: str,
        event: str,
        data: Any,
        *,
        key: str | None = None,
        ephemeral: bool = False,
        socket_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Published:
        """Publishes a message; `data` is a text or any JSON. With `key` it supersedes the message of that key. An ephemeral one is
        for whoever is there now, and has no serial. `socket_id` is the connection that does not get it, because it wrote it."""
        body = _event(room, event, data, key, ephemeral, socket_id, idempotency_key)
        answer = await self._post("/events", body, again=not ephemeral)
        return cast(Published, answer.get("channels", {}).get(room, {}))

    async def put(
        self,
        room: str,
        key: str,
        event: str,
        data: Any,
        *,
        socket_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Published:
        """Publishes the newest message of a key."""
        return await self.publish(room, event, data, key=key, socket_id=socket_id, idempotency_key=idempotency_key)

    async def publish_batch(self, items: Iterable[BatchItem]) -> list[Published]:
        """Publishes several messages, and answers in their order. A repeated batch completes what was missing of it; one with an
        ephemeral message is not repeated."""
        batch = [_event(**item) for item in items]
        again = not any(event.get("ephemeral") for event in batch)
        answer = await self._post("/batch_events", {"batch": batch}, again=again)
        return cast(list[Published], answer.get("batch", []))

    async def mutate(
        self,
        room: str,
        message_id: str,
        op: Op,
        data: Any = None,
        *,
        if_version: int | None = None,
        op_id: str | None = None,
    ) -> Mutated:
        """Replaces the data of a message, adds to its text, or deletes it. With `if_version` that is a `conflict` if the message has
        another version by now."""
        if op not in get_args(Op):
            raise ValueError(f"{op!r} is none of {', '.join(get_args(Op))}")
        body = _given(data=data, if_version=if_version, op_id=op_id or _once())
        return cast(Mutated, await self._post(f"{_channel(room)}/messages/{_quoted(message_id)}/{op}", body))

    async def delete_key(
        self, room: str, key: str, *, if_version: int | None = None, op_id: str | None = None
    ) -> Mutated:
        """Deletes the message of a key."""
        query = _given(if_version=if_version, op_id=op_id or _once())
        return cast(Mutated, await self._ask("DELETE", f"{_channel(room)}/keys/{_quoted(key)}", query))

    # Reading.

    async def history(
        self,
        room: str,
        *,
        limit: int | None = None,
        direction: Direction | None = None,
        cursor: str | None = None,
        start_serial: int | None = None,
        end_serial: int | None = None,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
    ) -> HistoryPage:
        """A page of what was published, the newest first; JSON data comes as values."""
        query = _given(
            limit=limit, direction=direction, cursor=cursor, start_serial=start_serial, end_serial=end_serial,
            start_time_ms=start_time_ms, end_time_ms=end_time_ms, data="value",
        )  # fmt: skip
        return cast(HistoryPage, await self._ask("GET", f"{_channel(room)}/history", query))

    async def snapshot(
        self,
        room: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        prefix: str | None = None,
        at_serial: int | None = None,
        at_time_ms: int | None = None,
    ) -> SnapshotPage:
        """A page of the messages of a room, or of those whose key begins with `prefix`, as they are or were at a moment; JSON data
        comes as values."""
        query = _given(
            limit=limit, cursor=cursor, prefix=prefix, at_serial=at_serial, at_time_ms=at_time_ms, data="value"
        )
        return cast(SnapshotPage, await self._ask("GET", f"{_channel(room)}/snapshot", query))

    async def presence(self, room: str) -> list[str]:
        """The ids of the users that are in a presence room."""
        answer = await self._ask("GET", f"{_channel(room)}/users", {})
        return [user["id"] for user in answer.get("users", [])]

    async def presence_at(
        self, room: str, *, at_serial: int | None = None, at_time_ms: int | None = None
    ) -> PresenceSnapshot:
        """Who was in a presence room at a moment (serial 0: before the first entry), or is now."""
        query = _given(at_serial=at_serial, at_time_ms=at_time_ms)
        return cast(PresenceSnapshot, await self._ask("GET", f"{_channel(room)}/presence/history/snapshot", query))

    async def presence_history(
        self,
        room: str,
        *,
        limit: int | None = None,
        direction: Direction | None = None,
        cursor: str | None = None,
        start_serial: int | None = None,
        end_serial: int | None = None,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
    ) -> PresencePage:
        """A page of who came, changed and went, the newest first."""
        query = _given(
            limit=limit, direction=direction, cursor=cursor, start_serial=start_serial, end_serial=end_serial,
            start_time_ms=start_time_ms, end_time_ms=end_time_ms,
        )  # fmt: skip
        return cast(PresencePage, await self._ask("GET", f"{_channel(room)}/presence/history", query))

    # Tokens.

    def mint_token(self, sub: str, *, ttl: float = 3600, rooms: Iterable[RoomRight] = (), info: Any = None) -> str:
        """A token (JWT, HS256) for a user: who it is, for how many seconds, what it may do in which rooms, what presence shows."""
        at = time.time()
        claims: dict[str, Any] = {"app": self._credentials.app, "sub": sub, "iat": int(at), "exp": int(at + ttl)}
        claims["rooms"] = [dict(one) for one in rooms]
        if info is not None:
            claims["info"] = info
        return _sign(claims, self._credentials.key, self._credentials.secret)

    # Asking.

    async def _post(self, path: str, body: Mapping[str, Any], again: bool = True) -> dict[str, Any]:
        return await self._ask("POST", path, {}, json.dumps(body, allow_nan=False).encode(), again)

    async def _ask(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None = None, again: bool = True
    ) -> dict[str, Any]:
        texts = {name: str(value) for name, value in query.items()}
        tried = 0
        unknown: Answer | None = None  # the newest try of which nobody knows what became
        while True:
            answer = await asyncio.to_thread(call, self._credentials, method, path, texts, body)
            tried += 1
            if answer.ok:
                return answer.body
            if answer.error().code == "outcome_unknown":
                unknown = answer
            if not answer.again:
                raise answer.error()
            if tried >= self._tries or not again:
                # That this one was not carried out says nothing of that one.
                raise (unknown or answer).error()
            await self._sleep(self._delay(tried - 1, answer) / 1000)

    def _delay(self, n: int, answer: Answer) -> float:
        drawn = self._random() * min(MAX_MS, BASE_MS << min(n, 20))
        return max(drawn, min(answer.retry_after_ms, MAX_AFTER_MS))


def _sign(claims: Mapping[str, Any], key: str, secret: str) -> str:
    """A JSON Web Token of these claims, signed with HS256."""
    head = {"alg": "HS256", "typ": "JWT", "kid": key}
    signed = b".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return (signed + b"." + _base64(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _channel(room: str) -> str:
    return f"/channels/{_quoted(room)}"


def _once() -> str:
    return secrets.token_hex(16)


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _event(
    room: str,
    event: str,
    data: Any,
    key: str | None = None,
    ephemeral: bool = False,
    socket_id: str | None = None,
    idempotency_key: str | None = None,
) -> dict[str, Any]:
    body = {"name": event, "channel": room, "data": data, "info": "position"} | _given(key=key, socket_id=socket_id)
    if ephemeral:
        return body | {"ephemeral": True}
    return body | {"idempotency_key": idempotency_key or _once()}


__all__ = [
    "ALL_RIGHTS",
    "BatchItem",
    "Bounds",
    "Continuity",
    "ContinuoError",
    "Direction",
    "HistoryItem",
    "HistoryMessage",
    "HistoryPage",
    "MessageVersion",
    "Mutated",
    "Op",
    "PresenceContinuity",
    "PresenceEvent",
    "PresenceItem",
    "PresenceMember",
    "PresencePage",
    "PresenceSnapshot",
    "PresenceState",
    "Published",
    "Right",
    "RoomRight",
    "Server",
    "SnapshotItem",
    "SnapshotPage",
    "StreamState",
]

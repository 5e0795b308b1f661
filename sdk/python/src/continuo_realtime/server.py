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
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from ._api import Answer, Credentials, call
from .errors import ContinuoError

TRIES = 6
BASE_MS = 200
MAX_MS = 10_000
MAX_AFTER_MS = 60_000

Op = Literal["update", "append", "delete"]
Right = Literal["join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"]


class Published(TypedDict):
    """Where a message was written."""

    stream_id: str
    serial: int
    entry_id: str
    message_serial: str
    version: int


class RoomRight(TypedDict):
    """What a token allows in the rooms of a pattern; `*` stands for any characters."""

    pattern: str
    can: list[Right]


class Server:
    """The HTTP API of one app.

        server = Server("http://127.0.0.1:6001", "app-id", "app-key", "app-secret")
        await server.publish("lobby", "hello")

    Every write carries an idempotency key and is repeated with it, after a random delay, when its outcome is not known: after network
    errors, HTTP 5xx and 429. So it happens once, and is reported as failed only after `tries`. Methods raise ContinuoError.
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
        data: Any,
        *,
        event: str = "chat.message",
        key: str | None = None,
        ephemeral: bool = False,
        idempotency_key: str | None = None,
    ) -> Published:
        """Publishes a message; `data` is a text or any JSON. With `key` it supersedes the message of that key. An ephemeral one is
        for whoever is there now, and has no serial."""
        body = _event(room, data, event, key, ephemeral, idempotency_key or secrets.token_hex(16))
        answer = await self._post("/events", body)
        found: Published = answer.get("channels", {}).get(room, {})
        return found

    async def publish_batch(self, events: Iterable[Mapping[str, Any]]) -> list[Published]:
        """Publishes several messages; each has the members `room`, `data`, and what else `publish` takes. A repeated batch completes
        what was missing of it."""
        batch = []
        base = secrets.token_hex(16)
        for i, one in enumerate(events):
            more = {"event": "chat.message", "key": None, "ephemeral": False, "idempotency_key": f"{base}:{i}", **one}
            batch.append(_event(**more))
        answer = await self._post("/batch_events", {"batch": batch})
        return list(answer.get("batch", []))

    async def put(self, room: str, key: str, data: Any, *, event: str = "chat.message") -> Published:
        """Publishes the newest message of a key."""
        return await self.publish(room, data, event=event, key=key)

    async def mutate(
        self,
        room: str,
        message_id: str,
        op: Op,
        data: Any = None,
        *,
        if_version: int | None = None,
        op_id: str | None = None,
    ) -> dict[str, Any]:
        """Updates, appends to or deletes a message. With `if_version` that is a `conflict` if the message has another version by now."""
        body: dict[str, Any] = {"op_id": op_id or secrets.token_hex(16)}
        if op != "delete":
            body["data"] = data
        if if_version is not None:
            body["if_version"] = if_version
        return await self._post(f"{_channel(room)}/messages/{quote(message_id, safe='')}/{op}", body)

    async def update(self, room: str, message_id: str, data: Any, *, if_version: int | None = None) -> dict[str, Any]:
        """Replaces a message."""
        return await self.mutate(room, message_id, "update", data, if_version=if_version)

    async def append(self, room: str, message_id: str, text: str) -> dict[str, Any]:
        """Adds to the text of a message."""
        return await self.mutate(room, message_id, "append", text)

    async def delete(self, room: str, message_id: str, *, if_version: int | None = None) -> dict[str, Any]:
        """Deletes a message."""
        return await self.mutate(room, message_id, "delete", if_version=if_version)

    async def delete_key(self, room: str, key: str) -> dict[str, Any]:
        """Deletes the message of a key."""
        query = {"op_id": secrets.token_hex(16)}
        return await self._ask("DELETE", f"{_channel(room)}/keys/{quote(key, safe='')}", query=query)

    # Reading.

    async def history(
        self,
        room: str,
        *,
        limit: int | None = None,
        direction: Literal["newest_first", "oldest_first"] | None = None,
        cursor: str | None = None,
        start_serial: int | None = None,
        end_serial: int | None = None,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
    ) -> dict[str, Any]:
        """A page of what was published; JSON data comes as values."""
        asked: dict[str, Any] = {"limit": limit, "direction": direction, "cursor": cursor, "data": "value"}
        asked.update(
            start_serial=start_serial, end_serial=end_serial, start_time_ms=start_time_ms, end_time_ms=end_time_ms
        )
        return await self._get(f"{_channel(room)}/history", asked)

    async def snapshot(self, room: str, *, prefix: str | None = None, at_serial: int | None = None) -> dict[str, Any]:
        """The messages of a room as they are, or were at a serial: all pages as one."""
        path = f"{_channel(room)}/snapshot"
        whole = page = await self._get(path, {"prefix": prefix, "at_serial": at_serial, "data": "value"})
        while page.get("has_more"):
            page = await self._get(path, {"prefix": prefix, "data": "value", "cursor": page["next_cursor"]})
            whole["items"] += page["items"]
        return {**whole, "has_more": False, "next_cursor": None}

    async def presence(self, room: str) -> dict[str, Any]:
        """Who is in a presence room: {"users": [{"id": …}]}."""
        return await self._get(f"{_channel(room)}/users", {})

    async def presence_history(
        self,
        room: str,
        *,
        limit: int | None = None,
        direction: Literal["newest_first", "oldest_first"] | None = None,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """A page of who came, changed and went."""
        return await self._get(
            f"{_channel(room)}/presence/history", {"limit": limit, "direction": direction, "cursor": cursor}
        )

    async def presence_at(
        self, room: str, *, at_serial: int | None = None, at_time_ms: int | None = None
    ) -> dict[str, Any]:
        """Who was in a room at a moment."""
        return await self._get(
            f"{_channel(room)}/presence/history/snapshot", {"at_serial": at_serial, "at_time_ms": at_time_ms}
        )

    # Tokens.

    def mint_token(
        self,
        sub: str,
        *,
        ttl: float = 3600,
        rooms: Iterable[RoomRight] = (),
        info: Any = None,
        now: float | None = None,
    ) -> str:
        """A token (JWT, HS256) for a user: who it is, for how many seconds, what it may do in which rooms, what presence shows."""
        at = time.time() if now is None else now
        claims: dict[str, Any] = {"app": self._credentials.app, "sub": sub, "iat": int(at), "exp": int(at + ttl)}
        claims["rooms"] = [dict(one) for one in rooms]
        if info is not None:
            claims["info"] = info
        return sign(claims, self._credentials.key, self._credentials.secret)

    # Asking.

    async def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask(
            "GET", path, query={name: str(value) for name, value in query.items() if value is not None}
        )

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", path, body=json.dumps(body, allow_nan=False).encode())

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> dict[str, Any]:
        tried = 0
        while True:
            answer = await asyncio.to_thread(call, self._credentials, method, path, dict(query or {}), body)
            tried += 1
            if answer.ok:
                return answer.body
            if tried >= self._tries or not answer.again:
                raise answer.error()
            await self._sleep(self._delay(tried - 1, answer) / 1000)

    def _delay(self, n: int, answer: Answer) -> float:
        drawn = self._random() * min(MAX_MS, BASE_MS << min(n, 20))
        return max(drawn, min(answer.retry_after_ms, MAX_AFTER_MS))


def sign(claims: Mapping[str, Any], key: str, secret: str) -> str:
    """A JSON Web Token of these claims, signed with HS256."""
    head = {"alg": "HS256", "typ": "JWT", "kid": key}
    signed = b".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return (signed + b"." + _base64(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _channel(room: str) -> str:
    return f"/channels/{quote(room, safe='')}"


def _event(room: str, data: Any, event: str, key: str | None, ephemeral: bool, idempotency_key: str) -> dict[str, Any]:
    body = {"name": event, "channel": room, "data": data, "idempotency_key": idempotency_key}
    if key is not None:
        body["key"] = key
    if ephemeral:
        body["ephemeral"] = True
    else:
        body["info"] = "position"
    return body


__all__ = ["ContinuoError", "Published", "RoomRight", "Server", "sign"]

"""The world outside: a WebSocket, an HTTP GET, a clock. Each can be replaced, which is how the tests stand in for it."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

HTTP_TIMEOUT = 30.0
MAX_BODY = 64 << 20
MAX_PAGES = 1_000
MAX_FRAME = 16 << 20


class RefusedError(Exception):
    """The handshake was answered with an HTTP status, or (0) not at all."""

    def __init__(self, status: int = 0, retry_after_ms: int = 0, reason: str = "") -> None:
        super().__init__(reason or f"HTTP {status}")
        self.status = status
        self.retry_after_ms = retry_after_ms


class ClosedError(Exception):
    """The connection has ended; 1006 without a close frame."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Connection(Protocol):
    """An open connection. One task reads, another writes."""

    async def send(self, text: str) -> None: ...

    async def recv(self) -> str | bytes:
        """The next message. Raises ClosedError."""
        ...

    async def close(self, code: int) -> None:
        """Ends the connection, within a second or so; never raises."""
        ...


class Transport(Protocol):
    async def connect(self, url: str, token: str | None) -> Connection:
        """Raises RefusedError."""
        ...

    async def get(self, url: str, token: str | None) -> Any:
        """The JSON value at a URL. Raises OSError or ValueError."""
        ...


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time as a client sees it."""

    def now(self) -> int:
        """Milliseconds, never going back."""
        ...

    def call_later(self, ms: int, call: Callable[[], None]) -> Handle: ...


class LoopClock:
    """The time of the running event loop."""

    def now(self) -> int:
        return int(time.monotonic() * 1000)

    def call_later(self, ms: int, call: Callable[[], None]) -> Handle:
        # A timer of the loop may come early by its resolution, and now() rounds down: one more millisecond for both.
        return asyncio.get_running_loop().call_later((ms + 1) / 1000, call)


class WebTransport:
    """WebSockets by the library of that name; HTTP by the standard library, in a thread."""

    async def connect(self, url: str, token: str | None) -> Connection:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            socket = await _Connect(
                url,
                subprotocols=[Subprotocol("continuo.rooms.v1")],
                additional_headers=headers,
                compression=None,
                ping_interval=None,
                open_timeout=None,
                close_timeout=1,
                max_size=MAX_FRAME,
                create_connection=_Connection,
            )
        except InvalidStatus as refusal:
            response = refusal.response
            after = retry_after_ms(response.headers.get("Retry-After"))
            raise RefusedError(response.status_code, after, str(refusal)) from refusal
        except Exception as error:  # names that do not resolve, ports that are closed, servers that speak no HTTP
            raise RefusedError(reason=str(error)) from error
        return _Socket(socket)

    async def get(self, url: str, token: str | None) -> Any:
        return await asyncio.to_thread(get_json, url, token)


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Redirects are not followed: they would carry the token to places that the application did not name."""
        return exc


class _Connection(ClientConnection):
    def data_received(self, data: bytes) -> None:
        """A server that has said why it closes may never close: it is answered, and not waited for."""
        super().data_received(data)
        if self.protocol.close_rcvd is not None:
            self.transport.close()


class _Socket:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader finds out, and knows the code
            await self._socket.send(text)

    async def recv(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except ConnectionClosed as end:
            # What this side found wrong with the other's frames is no word of the server: 1006, except for its size.
            if end.rcvd is not None:
                raise ClosedError(end.rcvd.code) from None
            if end.sent is not None and end.sent.code == 1009:
                raise ClosedError(1009) from None
            raise ClosedError(1006) from None

    async def close(self, code: int) -> None:
        with contextlib.suppress(Exception):
            await self._socket.close(code)


def get_json(url: str, token: str | None) -> Any:
    """GETs a JSON value, blocking. The token is not sent along redirects."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT) as response:
            body = _read(response)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{_bare(url)}: HTTP {error.code}") from None
    except http.client.HTTPException as error:
        raise OSError(f"{_bare(url)}: {error!r}") from error
    if len(body) > MAX_BODY:
        raise ValueError(f"{_bare(url)}: more than {MAX_BODY} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_bare(url)}: no JSON: {error}") from error


def _read(response: Any) -> bytes:
    """The whole body, but not for longer than a request may take: a server can send a byte now and then, for ever."""
    until = time.monotonic() + HTTP_TIMEOUT
    body = bytearray()
    while len(body) <= MAX_BODY and (part := response.read1(1 << 16)):
        body += part
        if time.monotonic() > until:
            raise TimeoutError("an answer that takes too long")
    return bytes(body)


def _bare(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def retry_after_ms(value: str | None) -> int:
    """The milliseconds of a Retry-After header, which names seconds or a date; 0 if it says nothing."""
    if not value:
        return 0
    if value.strip().isdigit():
        return min(int(value), 86_400) * 1000
    with contextlib.suppress(ValueError, TypeError):
        return max(0, int((email.utils.parsedate_to_datetime(value).timestamp() - time.time()) * 1000))
    return 0


class Address:
    """The URLs of a server, from the base that the application names: http(s) or ws(s), with or without a path."""

    def __init__(self, url: str, app: str | None = None) -> None:
        parts = urlsplit(url)
        schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
        if parts.scheme not in schemes or not parts.netloc:
            raise ValueError(f"{url!r} is no http, https, ws or wss URL")
        socket = schemes[parts.scheme]
        self._query = dict(parse_qsl(parts.query)) | ({"app": app} if app else {})
        base = f"{parts.netloc}{parts.path.rstrip('/')}"
        self.socket = with_query(f"{socket}://{base}/rooms", self._query)
        self._http = f"{'https' if socket == 'wss' else 'http'}://{base}"

    def snapshot(self, room: str, url: str) -> tuple[str, bool]:
        """Where the snapshot of a room is, and whether that is the server's own origin, which may see the token."""
        own = f"{self._http}/rooms/{quote(room, safe='')}/snapshot"
        found = urljoin(own, url) if url else own
        parts, base = urlsplit(found), urlsplit(self._http)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no http or https URL")
        same = _origin(parts) == _origin(base)
        return (with_query(found, self._query) if same else found), same


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def with_query(url: str, more: dict[str, str]) -> str:
    """A URL with more query parameters."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(more))))))


async def load_snapshot(transport: Transport, url: str, token: str | None) -> dict[str, Any]:
    """All pages of a snapshot as one; its messages are `items`. Raises OSError or ValueError."""
    whole = _page(await transport.get(url, token))
    pages, more = 1, whole
    while more.get("has_more"):
        cursor = more.get("next_cursor")
        if not isinstance(cursor, str) or pages == MAX_PAGES:
            raise ValueError("a snapshot that has no end")
        more = _page(await transport.get(with_query(url, {"cursor": cursor}), token))
        if (more["stream_id"], more["event_id"]) != (whole["stream_id"], whole["event_id"]):
            raise ValueError("the pages of a snapshot are of different moments")
        whole["messages"] += more["messages"]
        pages += 1
    items = whole["messages"]
    return {"items": items} | {
        name: whole[name] for name in whole if name not in ("messages", "has_more", "next_cursor")
    }


def _page(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or type(value.get("stream_id")) is not str or type(value.get("event_id")) is not int:
        raise ValueError("no snapshot: it has no stream_id and event_id")
    for name in ("messages", "members"):
        rows = value.setdefault(name, []) if name == "messages" else value.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"no snapshot: {name} is no list of objects")
    return value

"""Servers that do not keep to the protocol: over a real socket, since half of what can go wrong is in the library beneath."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from continuo_realtime import Client, ContinuoError, Event
from fakes import HELLO, Fast, message
from harness import Watch, within

Script = Callable[["Bad"], Awaitable[None]]


class Bad:
    """One connection to a server that is a script."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def say(self, *frames: Any) -> None:
        for frame in frames:
            await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def hear(self, kind: str) -> dict[str, Any]:
        while True:
            frame: dict[str, Any] = json.loads(await self.socket.recv())
            if frame["kind"] == kind:
                return frame

    async def admit(self, **more: Any) -> None:
        await self.say(HELLO)
        await self.hear("client.hello")
        await self.say(HELLO)
        join = await self.hear("client.join")
        joined = {
            "kind": "room.joined",
            "room_id": "a",
            "stream_id": "A",
            "event_id": 0,
            "resumed": False,
            "replaying": 0,
        }
        await self.say({**joined, "correlation_id": join["correlation_id"], **more})


class World:
    def __init__(self, server: Server, **options: Any) -> None:
        port = server.sockets[0].getsockname()[1]
        self.watch = Watch()
        self.errors: list[str] = []
        self.events: list[Event] = []
        self.client = Client(f"http://127.0.0.1:{port}", random=lambda: 0.0, **options)
        self.client.on_state(self.watch.changed)
        self.client.on_error(self._error)
        self.client.room("a").on_event(self._event)

    def _error(self, error: Exception) -> None:
        self.errors.append(str(error))
        self.watch.changed()

    def _event(self, event: Event) -> None:
        self.events.append(event)
        self.watch.changed()

    def ids(self) -> list[Any]:
        return [event.get("event_id") for event in self.events]


@contextlib.asynccontextmanager
async def world(
    *scripts: Script, answer: Callable[[Request], Response | None] | None = None, **options: Any
) -> AsyncIterator[World]:
    """A client before a server that plays one script for each connection, and the last one for ever."""
    left = list(scripts)

    async def handle(socket: ServerConnection) -> None:
        script = left.pop(0) if len(left) > 1 else left[0]
        with contextlib.suppress(ConnectionClosed):
            await script(Bad(socket))
            await socket.wait_closed()

    def request(_: ServerConnection, request: Request) -> Response | None:
        return answer(request) if answer else None

    async with serve(
        handle,
        "127.0.0.1",
        0,
        process_request=request,
        compression=None,
        subprotocols=[Subprotocol("continuo.rooms.v1")],
    ) as server:
        one = World(server, **options)
        try:
            yield one
        finally:
            await one.client.close(0)
            server.close(close_connections=True)


async def silence(_: Bad) -> None:
    """Says nothing, ever."""


GARBAGE = [
    "", "null", "[]", "7", '"text"', "{", "NaN", '{"kind":7}', '{"kind":null}', "<html></html>", "[" * 5000,
    b"\xff\xfe", b'{"kind":"chat.message"',
    {"kind": "tomorrow", "room_id": 7},
    {"kind": "room.tomorrow", "room_id": "a", "event_id": "x"},
    {"kind": "chat.message", "room_id": "a", "event_id": "2", "message_id": "2"},
    {"kind": "chat.message", "room_id": "a", "event_id": 2.5, "message_id": "2"},
    {"kind": "chat.message", "room_id": "a", "event_id": True, "message_id": "2"},
    {"kind": "chat.message", "room_id": "a", "event_id": -2, "message_id": "2"},
    {"kind": "chat.message", "room_id": ["a"], "event_id": 2, "message_id": "2"},
    {"kind": "room.joined", "room_id": "a"},
    {"kind": "room.snapshot_required", "room_id": "a"},
    {"kind": "room.history", "room_id": "a", "items": "none"},
    {"kind": "server.error", "code": 7},
    {"kind": "server.hello", "protocol_version": 9},
    {"kind": "chat.message", "room_id": "elsewhere", "event_id": 2, "message_id": "2"},
    {"kind": "room.left", "room_id": "elsewhere"},
    {"kind": "room.resumed", "room_id": "a", "event_id": 4711},
    {"kind": "chat.accepted", "room_id": "a", "event_id": 5, "message_id": "5", "version": 1, "correlation_id": "nobody's"},
]  # fmt: skip


async def test_garbage_does_no_harm() -> None:
    async def script(bad: Bad) -> None:
        await bad.admit()
        await bad.say(message(1), *GARBAGE, message(2, tomorrow={"x": 1}))

    async with world(script) as one:
        await within(one.client.connect())
        await within(one.client.room("a").join())
        await one.watch.until(lambda: len(one.events) == 2)
        assert one.ids() == [1, 2]
        assert len(one.errors) >= 15
        assert one.client.state["state"] == "connected"


async def test_duplicates_and_disorder_are_dropped() -> None:
    async def script(bad: Bad) -> None:
        await bad.admit()
        await bad.say(*(message(n) for n in (1, 1, 3, 2, 3, 4, 1, 5)))

    async with world(script) as one:
        one.client.start()
        await within(one.client.room("a").join())
        await one.watch.until(lambda: one.ids()[-1:] == [5])
        assert one.ids() == [1, 3, 4, 5]


async def test_a_foreign_stream_is_no_resumption() -> None:
    async def first(bad: Bad) -> None:
        await bad.admit()
        await bad.say(message(1))
        await bad.socket.close(1012)

    async def second(bad: Bad) -> None:
        await bad.admit(stream_id="B", event_id=9, resumed=True, replaying=1)
        await bad.say(message(9), {"kind": "room.resumed", "room_id": "a", "event_id": 9, "count": 1}, message(10))

    asked = []

    def load(required: Any) -> Event:
        asked.append(required)
        return {"stream_id": "B", "event_id": 9, "items": []}

    async with world(first, second, snapshot=load) as one:
        one.client.start()
        await within(one.client.room("a").join())
        await one.watch.until(lambda: one.ids()[-1:] == [10])
        assert [event["kind"] for event in one.events] == ["chat.message", "room.snapshot", "chat.message"]
        assert asked[0]["reason"] == "stream_reset"
        assert one.client.room("a").position in [{"stream_id": "B", "event_id": n} for n in (9, 10)]


def status(code: int, body: str = "", **headers: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return Response(code, "No", Headers({"Content-Length": str(len(body)), **headers}), body.encode())

    return answer


@pytest.mark.parametrize("code", [200, 302, 404, 418, 500, 502])
async def test_http_statuses_are_backed_off(code: int) -> None:
    answer = status(code, "<html>no</html>", Location="http://127.0.0.1:1/rooms")
    async with world(silence, answer=answer) as one:
        one.client.start()
        await one.watch.until(lambda: one.client.state.get("attempt", 0) >= 3)
        # A 200 is an answer that is no handshake at all.
        assert one.client.state.get("code", code) in (code, 0)


@pytest.mark.parametrize("code", [429, 503])
async def test_http_statuses_that_ask_for_patience(code: int) -> None:
    async with world(silence, answer=status(code, **{"Retry-After": "7"})) as one:
        one.client.start()
        await one.watch.until(lambda: one.client.state["state"] == "waiting")
        assert one.client.state == {"state": "waiting", "retry_in_ms": 7000, "attempt": 2, "code": code}


@pytest.mark.parametrize(("code", "reason"), [(401, "unauthorized"), (403, "forbidden")])
async def test_http_statuses_that_stop(code: int, reason: str) -> None:
    async with world(silence, answer=status(code, '{"error":"no"}')) as one:
        with pytest.raises(ContinuoError) as refused:
            await within(one.client.connect())
        assert (refused.value.code, refused.value.status) == (reason, code)


async def test_a_token_is_not_carried_along_redirects() -> None:
    asked = []

    def answer(request: Request) -> Response | None:
        asked.append((request.path, request.headers.get("Authorization")))
        return status(302, Location="/elsewhere")(request)

    async with world(silence, answer=answer, token="secret") as one:
        one.client.start()
        await one.watch.until(lambda: one.client.state["state"] == "waiting")
        assert set(asked) == {("/rooms", "Bearer secret")}


async def test_another_version_of_the_protocol_stops() -> None:
    async def script(bad: Bad) -> None:
        await bad.say({**HELLO, "protocol_version": 3, "protocol_min": 2, "protocol_max": 3})

    async with world(script) as one:
        with pytest.raises(ContinuoError, match="protocol_mismatch"):
            await within(one.client.connect())


async def test_a_server_that_is_no_web_server() -> None:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    watch = Watch()
    client = Client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", random=lambda: 0.0)
    client.on_state(watch.changed)
    client.start()
    await watch.until(lambda: client.state.get("attempt", 0) >= 3)
    await client.close()
    server.close()


async def test_a_server_that_accepts_and_says_nothing() -> None:
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    watch = Watch()
    client = Client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", clock=Fast())
    client.on_state(watch.changed)
    client.start()
    await watch.until(lambda: client.state["state"] == "waiting")
    assert client.state["code"] == 0
    await within(ended.wait())
    await client.close()
    server.close()


SNAPSHOTS = [
    status(500, "<html>no</html>"),
    status(401, '{"error":"no"}'),
    status(200, "<html>hello</html>"),
    status(200, "[]"),
    status(200, '{"stream_id":"A","event_id":"9"}'),
    status(200, '{"stream_id":"A","event_id":9,"messages":[7]}'),
    status(302, Location="http://127.0.0.1:1/"),
    status(200, '{"stream_id":"A","event_id":9,"messages":[]}'),
]


async def test_snapshots_that_are_none_are_asked_for_again() -> None:
    left = list(SNAPSHOTS)

    def answer(request: Request) -> Response | None:
        return left.pop(0)(request) if request.path.startswith("/rooms/a/snapshot") else None

    async def script(bad: Bad) -> None:
        await bad.admit()
        required = {
            "kind": "room.snapshot_required",
            "room_id": "a",
            "stream_id": "A",
            "event_id": 9,
            "reason": "not_logged",
        }
        await bad.say(required, message(10))

    async with world(script, answer=answer) as one:
        one.client.start()
        await within(one.client.room("a").join())
        await one.watch.until(lambda: len(one.events) == 2)
        assert [event["kind"] for event in one.events] == ["room.snapshot", "chat.message"]
        assert len(one.errors) == len(SNAPSHOTS) - 1


async def test_a_frame_beyond_all_limits_ends_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuo_realtime.transport.MAX_FRAME", 1000)

    async def script(bad: Bad) -> None:
        await bad.say("x" * 2000)

    async with world(script) as one:
        with pytest.raises(ContinuoError, match="too_large"):
            await within(one.client.connect())

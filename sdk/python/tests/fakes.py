"""A world without network and without time: a clock that is set, and a server that is a list of answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from continuo_realtime import Client
from continuo_realtime.transport import ClosedError, Connection, Handle, LoopClock, RefusedError
from harness import Watch, within

HELLO = {"kind": "server.hello", "protocol_version": 1, "session_id": "s", "session_secret": "x", "user_id": "ann"}


class Clock:
    """Time that passes when it is told to."""

    class Timer:
        def __init__(self, at: int, call: Callable[[], None]) -> None:
            self.at, self.call, self.cancelled = at, call, False

        def cancel(self) -> None:
            self.cancelled = True

    def __init__(self) -> None:
        self._now = 0
        self.timer: Clock.Timer | None = None

    def now(self) -> int:
        return self._now

    def call_later(self, ms: int, call: Callable[[], None]) -> Clock.Timer:
        self.timer = Clock.Timer(self._now + ms, call)
        return self.timer

    def pass_to_timer(self) -> None:
        """The time of the one timer has come."""
        assert self.timer is not None
        assert not self.timer.cancelled
        timer, self.timer = self.timer, None
        self._now = max(self._now, timer.at)
        timer.call()


class Fast(LoopClock):
    """A clock that runs a hundred times as fast: heartbeats of 25 s are looked at four times a second."""

    def now(self) -> int:
        return super().now() * 100

    def call_later(self, ms: int, call: Callable[[], None]) -> Handle:
        return super().call_later(ms // 100, call)


class Wire:
    """One connection as its server sees it: `told` is what the client has sent."""

    def __init__(self, closed_with: list[int]) -> None:
        self.told: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self._closed_with = closed_with
        self._answers: asyncio.Queue[str | int] = asyncio.Queue()

    def say(self, *frames: dict[str, Any] | str | int) -> None:
        """Frames, texts that are none, or a close code."""
        for frame in frames:
            self._answers.put_nowait(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def heard(self, kind: str, n: int = 1) -> dict[str, Any]:
        """The n-th frame of a kind that the client has sent."""
        async with asyncio.timeout(30):
            while len(found := [frame for frame in self.told if frame["kind"] == kind]) < n:
                self.arrived.clear()
                await self.arrived.wait()
            return found[n - 1]

    async def send(self, text: str) -> None:
        self.told.append(json.loads(text))
        self.arrived.set()

    async def recv(self) -> str:
        answer = await self._answers.get()
        if isinstance(answer, int):
            raise ClosedError(answer)
        return answer

    async def close(self, code: int) -> None:
        self._closed_with.append(code)


class Net:
    """A transport: connections are wires that a test answers on, and HTTP answers are a table."""

    def __init__(self) -> None:
        self.wires: asyncio.Queue[Wire] = asyncio.Queue()
        self.tokens: list[str | None] = []
        self.refusals: list[RefusedError] = []
        self.pages: dict[str, Any] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.closed_with: list[int] = []

    async def connect(self, url: str, token: str | None) -> Connection:
        self.tokens.append(token)
        if self.refusals:
            raise self.refusals.pop(0)
        wire = Wire(self.closed_with)
        self.wires.put_nowait(wire)
        return wire

    async def get(self, url: str, token: str | None) -> Any:
        self.asked.append((url, token))
        found = self.pages.get(url, OSError("HTTP 404"))
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def greet(self) -> Wire:
        """The next connection, after both hellos."""
        wire = await self.wires.get()
        wire.say(HELLO)
        await wire.heard("client.hello")
        wire.say(HELLO)
        return wire

    async def admit(self, room: str, event_id: int = 0, **more: Any) -> Wire:
        """The next connection, with a room that was joined."""
        wire = await self.greet()
        await self.joined(wire, room, event_id, **more)
        return wire

    async def joined(self, wire: Wire, room: str, event_id: int = 0, n: int = 1, **more: Any) -> None:
        join = await wire.heard("client.join", n)
        answer = {"kind": "room.joined", "room_id": room, "stream_id": "A", "event_id": event_id, "resumed": False}
        wire.say({**answer, "replaying": 0, "correlation_id": join["correlation_id"], **more})


def message(n: int, room: str = "a", **more: Any) -> dict[str, Any]:
    frame = {"kind": "chat.message", "room_id": room, "event_id": n, "message_id": str(n), "ts": 1, "text": f"m{n}"}
    return {**frame, **more}


class World:
    def __init__(self, **options: Any) -> None:
        self.net = Net()
        self.clock = Clock()
        self.errors: list[Exception] = []
        self.watch = Watch()
        self.client = Client("ws://there", transport=self.net, clock=self.clock, random=lambda: 0.5, **options)
        self.client.on_error(self._error)
        self.client.on_state(self.watch.changed)
        self.client.room("a").on_state(self.watch.changed)

    def _error(self, error: Exception) -> None:
        self.errors.append(error)
        self.watch.changed()

    async def join(self, **more: Any) -> Wire:
        """Connected, and in room a."""
        connecting = asyncio.ensure_future(self.client.connect())
        joining = asyncio.ensure_future(self.client.room("a").join())
        wire = await within(self.net.admit("a", **more))
        await within(asyncio.gather(connecting, joining))
        return wire

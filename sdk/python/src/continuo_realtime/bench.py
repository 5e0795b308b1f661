"""How many messages per second the client part hands over on one core: `python -m continuo_realtime.bench [MESSAGES]`.

A transport that is no network feeds encoded frames; they are decoded, pass the session, and are taken by `async for`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from . import Client
from .transport import ClosedError, Connection

ROOM = "bench"
HELLO = {"kind": "server.hello", "protocol_version": 1, "session_id": "s", "session_secret": "x", "user_id": "ann"}
JOINED = {
    "kind": "room.joined",
    "room_id": ROOM,
    "stream_id": "stream",
    "event_id": 0,
    "resumed": False,
    "replaying": 0,
}


class _Feed:
    """A connection that says hello, answers a join, and then gives messages as fast as they are taken."""

    def __init__(self, texts: list[str]) -> None:
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._answers.put_nowait(json.dumps(HELLO))
        self._texts = iter(texts)
        self._joined = False

    async def send(self, text: str) -> None:
        kind = json.loads(text)["kind"]
        if kind == "client.hello":
            self._answers.put_nowait(json.dumps(HELLO))
        elif kind == "client.join":
            self._answers.put_nowait(json.dumps(JOINED))

    async def recv(self) -> str:
        if self._joined:
            text = next(self._texts, None)
            if text is not None:
                return text
            await asyncio.get_running_loop().create_future()
            raise ClosedError(1006)
        answer = await self._answers.get()
        self._joined = '"room.joined"' in answer
        return answer

    async def close(self, code: int) -> None:
        pass


class _Transport:
    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    async def connect(self, url: str, token: str | None) -> Connection:
        return _Feed(self._texts)

    async def get(self, url: str, token: str | None) -> Any:
        raise OSError("there is no snapshot")


def message(n: int) -> str:
    """A message as a server writes it, of some 200 bytes."""
    text = "a message of an ordinary length, as people write them in a chat about nothing much"
    frame = {"kind": "chat.message", "room_id": ROOM, "event_id": n, "message_id": str(n), "sender": "ann"}
    return json.dumps({**frame, "ts": 1787000000000, "text": text}, separators=(",", ":"))


async def run(count: int) -> float:
    """Messages per second of CPU time."""
    texts = [message(n + 1) for n in range(count)]
    async with Client("ws://bench", transport=_Transport(texts)) as client:
        room = client.room(ROOM)
        began = time.process_time()
        await room.join()
        async for event in room:
            if event["event_id"] == count:
                break
        return count / (time.process_time() - began)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rate = asyncio.run(run(count))
    print(
        f"continuo_realtime: {rate:,.0f} messages per second through the client part on one core ({count:,} messages)"
    )


if __name__ == "__main__":
    main()

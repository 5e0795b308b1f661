"""The end of a client: graceful, with a deadline, and with nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from continuo_realtime import ContinuoError, Event, MemoryStore, Position
from fakes import World, message
from harness import within


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World()
    yield one
    await one.client.close(0)


REQUIRED = {
    "kind": "room.snapshot_required",
    "room_id": "a",
    "stream_id": "A",
    "event_id": 20,
    "reason": "window_exceeded",
}


async def test_close_waits_for_answers_and_for_the_handler(world: World) -> None:
    wire = await world.join()
    room = world.client.room("a")
    go, began, done = asyncio.Event(), asyncio.Event(), []

    async def handle(event: Event) -> None:
        began.set()
        await go.wait()
        done.append(event["event_id"])

    room.on_event(handle)
    wire.say(message(1), message(2))
    await within(began.wait())
    sending = asyncio.ensure_future(room.send("last"))
    sent = await wire.heard("chat.send")
    closing = asyncio.ensure_future(world.client.close(30))
    accepted = {"kind": "chat.accepted", "room_id": "a", "event_id": 3, "message_id": "3", "version": 1}
    wire.say({**accepted, "correlation_id": sent["correlation_id"]})
    assert (await within(sending))["event_id"] == 3
    go.set()
    await within(closing)
    assert done == [1]
    assert room.position == {"stream_id": "A", "event_id": 1}
    assert world.client.state == {"state": "closed"}
    assert world.net.closed_with == [1000]
    for call in (room.send("too late"), room.join(), world.client.connect()):
        with pytest.raises(ContinuoError, match="closed"):
            await within(call)


async def test_nothing_is_left_when_a_client_is_closed() -> None:
    before = asyncio.all_tasks()
    never = asyncio.Event()

    async def handle(_: Event) -> None:
        await never.wait()

    world = World(snapshot=lambda _: never.wait())
    wire = await world.join()
    world.client.room("a").on_event(handle)
    wire.say(message(1), dict(REQUIRED))
    await world.watch.until(lambda: world.client.room("a").state["state"] == "snapshot")
    sending = asyncio.ensure_future(world.client.room("a").send("never answered"))
    await wire.heard("chat.send")
    await world.client.close(0)
    with pytest.raises(ContinuoError):
        await sending
    assert asyncio.all_tasks() == before


async def test_a_handler_may_close_the_client(world: World) -> None:
    wire = await world.join()

    async def handle(_: Event) -> None:
        await world.client.close()

    world.client.room("a").on_event(handle)
    wire.say(message(1))
    await world.watch.until(lambda: world.client.state["state"] == "closed")


class Slow(MemoryStore):
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def load(self, room: str) -> Position | None:
        await self.go.wait()
        return None


async def test_leave_and_close_overtake_a_join_that_waits_for_the_store() -> None:
    store = Slow()
    world = World(cursors=store)
    joining = asyncio.ensure_future(world.client.room("a").join())
    await asyncio.sleep(0)
    await world.client.room("a").leave()
    closing = asyncio.ensure_future(world.client.room("b").join())
    await asyncio.sleep(0)
    store.go.set()
    with pytest.raises(ContinuoError, match="left"):
        await within(joining)
    store.go.clear()
    third = asyncio.ensure_future(world.client.room("c").join())
    await asyncio.sleep(0)
    await within(world.client.close())
    store.go.set()
    for join in (closing, third):
        with pytest.raises(ContinuoError, match="closed"):
            await within(join)


async def test_close_has_a_deadline(world: World) -> None:
    wire = await world.join()
    sending = asyncio.ensure_future(world.client.room("a").send("never answered"))
    await wire.heard("chat.send")
    await within(world.client.close(0.01))
    with pytest.raises(ContinuoError, match="closed"):
        await sending

"""What an application may do that nobody should, and what is survived all the same."""

from __future__ import annotations

import asyncio

import pytest

from continuo_realtime import ContinuoError, MemoryStore, Position, transport
from continuo_realtime.transport import Address
from fakes import World, message
from harness import within


async def test_a_room_has_one_consumer() -> None:
    world = World()
    wire = await world.join()
    room = world.client.room("a")
    first = asyncio.ensure_future(anext(room))
    await asyncio.sleep(0)
    with pytest.raises(ContinuoError, match="busy"):
        await within(anext(room))
    with pytest.raises(ContinuoError, match="busy"):
        room.on_event(lambda _: None)
    wire.say(message(1))
    assert (await within(first))["event_id"] == 1
    room.on_event(lambda _: None)
    await world.watch.until(lambda: True)
    with pytest.raises(ContinuoError, match="busy"):
        await within(anext(room))
    await world.client.close(0)


async def test_an_iterator_that_was_given_up_leaves_the_room_free() -> None:
    world = World()
    wire = await world.join()
    room = world.client.room("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(room)
    wire.say(message(1))
    assert (await within(anext(room)))["event_id"] == 1
    await world.client.close(0)


class Stuck(MemoryStore):
    async def save(self, room: str, position: Position) -> None:
        await asyncio.get_running_loop().create_future()


async def test_close_does_not_wait_for_ever_for_a_store() -> None:
    before = asyncio.all_tasks()
    world = World(cursors=Stuck())
    await world.join(event_id=7)
    await within(world.client.close(0))
    assert [str(error) for error in world.errors] == ["warning: the positions of 1 rooms were not stored"]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("token", ["a b", "a,b", "a\r\nX: y", "é", "a="])
async def test_tokens_that_are_none(token: str) -> None:
    world = World(token=token)
    world.client.start()
    await world.watch.until(lambda: world.client.state["state"] == "waiting")
    assert world.net.tokens == []
    assert len(world.errors) == 2  # that it is none, and that the session was told so
    await world.client.close(0)


async def test_an_empty_token_is_none_at_all() -> None:
    world = World(token="")
    world.client.start()
    await within(world.net.greet())
    assert world.net.tokens == [None]
    await world.client.close(0)


def test_the_query_of_the_address_stays() -> None:
    assert Address("ws://there/base/?app=one").socket == "ws://there/base/rooms?app=one"
    assert Address("https://there?a=b%26c", "one").socket == "wss://there/rooms?a=b%26c&app=one"
    assert Address("http://there/base?app=one").snapshot("ü/ ?#", "") == (
        "http://there/base/rooms/%C3%BC%2F%20%3F%23/snapshot?app=one",
        True,
    )


async def test_a_join_says_why_the_client_has_stopped() -> None:
    world = World()
    wire = await world.join()
    wire.say(4403)
    await world.watch.until(lambda: world.client.state["state"] == "stopped")
    with pytest.raises(ContinuoError, match="forbidden"):
        await within(world.client.room("b").join())
    await world.client.close(0)


def test_an_answer_that_drips_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping:
        def read1(self, _: int) -> bytes:
            return b" "

    monkeypatch.setattr(transport, "HTTP_TIMEOUT", 0.01)
    with pytest.raises(TimeoutError):
        transport._read(Dripping())

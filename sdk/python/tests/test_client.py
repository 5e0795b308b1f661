"""The client over a transport that is no network: handlers, iterators, requests, tokens, states."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from continuo_realtime import Client, ContinuoError, Event
from continuo_realtime.transport import RefusedError
from fakes import World, message
from harness import within


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World()
    yield one
    await one.client.close(0)


async def test_iterator_moves_the_cursor_when_the_next_is_asked_for(world: World) -> None:
    wire = await world.join()
    room = world.client.room("a")
    wire.say(message(1), message(2))
    assert (await within(anext(room)))["event_id"] == 1
    assert room.position == {"stream_id": "A", "event_id": 0}
    assert (await within(anext(room)))["event_id"] == 2
    assert room.position == {"stream_id": "A", "event_id": 1}


async def test_an_iterator_that_was_broken_off_goes_on(world: World) -> None:
    wire = await world.join()
    room = world.client.room("a")
    wire.say(message(1), message(2))
    async for _ in room.events():
        break
    async for event in room:
        assert event["event_id"] == 2
        break
    await room.leave()
    with pytest.raises(StopAsyncIteration):
        await within(anext(room))


async def test_a_handler_that_raises_is_reported_and_the_event_counts(world: World) -> None:
    seen = []

    async def handle(event: Event) -> None:
        seen.append(event["event_id"])
        if event["event_id"] == 1:
            raise ValueError("oh")
        if event["event_id"] == 2:
            raise asyncio.CancelledError

    room = world.client.room("a")
    room.on_event(handle)
    wire = await world.join()
    wire.say(message(1), message(2), message(3))
    await world.watch.until(lambda: len(world.errors) == 2)
    wire.say(message(4))
    while room.position != {"stream_id": "A", "event_id": 4}:
        await asyncio.sleep(0)
    assert seen == [1, 2, 3, 4]
    assert isinstance(world.errors[0], ValueError)


async def test_listeners_that_raise_are_reported(world: World) -> None:
    def fail(_: Any) -> None:
        raise KeyError("state")

    world.client.on_state(fail)
    world.client.room("a").on_state(fail)
    await world.join()
    assert {type(error) for error in world.errors} == {KeyError}


async def test_a_slow_application_is_behind_and_catches_up() -> None:
    world = World(buffer=4)
    wire = await world.join()
    room = world.client.room("a")
    wire.say(*(message(n) for n in range(1, 11)))
    for n in range(1, 4):
        assert (await within(anext(room)))["event_id"] == n
    await wire.heard("client.leave")
    await world.net.joined(wire, "a", 10, n=2, resumed=True, replaying=6)
    wire.say(message(5), message(6))
    for n in range(4, 7):
        assert (await within(anext(room)))["event_id"] == n
    await world.client.close(0)


async def test_requests_and_their_errors(world: World) -> None:
    wire = await world.join()
    room = world.client.room("a")
    sending = asyncio.ensure_future(room.send("hello"))
    sent = await wire.heard("chat.send")
    assert len(sent["idempotency_key"]) == 32
    accepted = {"kind": "chat.accepted", "room_id": "a", "event_id": 1, "message_id": "1", "version": 1}
    wire.say({**accepted, "correlation_id": sent["correlation_id"]})
    assert await within(sending) == {"event_id": 1, "message_id": "1", "version": 1}
    editing = asyncio.ensure_future(room.edit("1", payload=None, if_version=1))
    edit = await wire.heard("message.update")
    assert (edit["payload"], edit["if_version"]) == (None, 1)
    error = {"kind": "server.error", "code": "conflict", "message": "lost", "retryable": False, "version": 3}
    wire.say({**error, "room_id": "a", "correlation_id": edit["correlation_id"]})
    with pytest.raises(ContinuoError) as refused:
        await within(editing)
    assert (refused.value.code, refused.value.version, refused.value.retryable) == ("conflict", 3, False)


async def test_what_cannot_be_sent_raises_where_it_was_written(world: World) -> None:
    await world.join()
    room = world.client.room("a")
    for payload in (float("nan"), object(), {"a": "\ud800"}):
        with pytest.raises((ValueError, TypeError)):
            await room.send(payload=payload)
    with pytest.raises(ValueError, match="one of the two"):
        await room.send()
    with pytest.raises(ValueError, match="one of the two"):
        await room.send("text", payload=1)


async def test_a_request_that_is_cancelled_is_forgotten(world: World) -> None:
    wire = await world.join()
    asking = asyncio.ensure_future(world.client.room("a").history())
    asked = await wire.heard("client.history")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    wire.say(
        {"kind": "room.history", "room_id": "a", "items": [], "correlation_id": asked["correlation_id"]}, message(1)
    )
    assert (await within(anext(world.client.room("a"))))["event_id"] == 1
    assert world.client._requests == {}


async def test_tokens_are_asked_for_on_every_attempt() -> None:
    tokens: list[Any] = ["one", OSError("no network"), 7, "two", None]

    async def token() -> str:
        answer = tokens.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    world = World(token=token)
    world.net.refusals = [RefusedError(503), RefusedError(0)]
    connecting = asyncio.ensure_future(world.client.connect())
    for _ in range(4):
        await world.watch.until(lambda: world.client.state["state"] == "waiting")
        world.clock.pass_to_timer()
    await within(world.net.greet())
    await within(connecting)
    assert world.net.tokens == ["one", "two", None]
    assert [type(error) for error in world.errors if not isinstance(error, ContinuoError)] == [OSError, TypeError]
    await world.client.close(0)


async def test_a_client_that_is_stopped_says_why() -> None:
    world = World(token="same")
    world.net.refusals = [RefusedError(401)]
    joining = asyncio.ensure_future(world.client.room("a").join())
    with pytest.raises(ContinuoError) as refused:
        await within(world.client.connect())
    assert (refused.value.code, refused.value.status) == ("unauthorized", 401)
    with pytest.raises(ContinuoError):
        await within(joining)
    await world.client.close(0)


async def test_states_are_an_iterator(world: World) -> None:
    seen: list[str] = []

    async def watch() -> None:
        async for state in world.client.states():
            seen.append(state["state"])

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    wire = await world.join()
    wire.say(1006)
    await world.watch.until(lambda: world.client.state["state"] == "waiting")
    world.client.offline()
    world.client.online()
    await world.client.close(0)
    await within(watching)
    assert seen == ["idle", "connecting", "connected", "waiting", "offline", "waiting", "closed"]


async def test_what_listeners_do_happens_in_order(world: World) -> None:
    """A listener that calls the client does not overtake what the client was about to do."""
    world.client.on_state(lambda state: world.client.offline() if state["state"] == "waiting" else None)
    wire = await world.join()
    wire.say(1006)
    await world.watch.until(lambda: world.client.state["state"] == "offline")
    assert world.clock.timer is None or world.clock.timer.cancelled


def test_a_url_that_is_none() -> None:
    for url in ("", "there", "ftp://there", "http://"):
        with pytest.raises(ValueError, match="is no"):
            Client(url)

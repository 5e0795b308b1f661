"""The client over a transport that is no network: handlers, iterators, stores, snapshots, tokens, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from continuo_realtime import Client, ContinuoError, Event, FileStore, MemoryStore, Position, SnapshotRequired
from continuo_realtime.transport import RefusedError
from fakes import Clock, Net, Wire, message
from harness import Watch, within


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


class Broken(MemoryStore):
    """A store of which nothing works."""

    async def load(self, room: str) -> Position | None:
        raise OSError("load")

    async def save(self, room: str, position: Position) -> None:
        raise OSError("save")


async def test_a_store_that_fails_is_reported_and_delivery_goes_on() -> None:
    world = World(cursors=Broken())
    wire = await world.join()
    room = world.client.room("a")
    wire.say(message(1), message(2), message(3))
    for n in range(1, 4):
        assert (await within(anext(room)))["event_id"] == n
    await world.watch.until(lambda: len(world.errors) >= 2)
    assert [str(error) for error in world.errors[:2]] == ["load", "save"]
    await world.client.close(0)


async def test_a_stored_position_is_sent_and_moved(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cursors.json"
    await FileStore(path).save("a", {"stream_id": "A", "event_id": 7})
    world = World(cursors=FileStore(path))
    wire = await world.join(event_id=9, resumed=True, replaying=2)
    join = await wire.heard("client.join")
    assert (join["resume_from"], join["stream_id"]) == (7, "A")
    room = world.client.room("a")
    handled = []
    room.on_event(lambda event: handled.append(event["event_id"]))
    wire.say(message(7), message(8), message(9), {"kind": "room.resumed", "room_id": "a", "event_id": 9, "count": 2})
    while room.position != {"stream_id": "A", "event_id": 9}:
        await asyncio.sleep(0)
    await world.client.close()
    assert handled == [8, 9]
    assert await FileStore(path).load("a") == {"stream_id": "A", "event_id": 9}


async def test_a_file_of_something_else_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    path.write_text('{"a": 7}')
    world = World(cursors=FileStore(path))
    wire = await world.join()
    assert "resume_from" not in await wire.heard("client.join")
    await world.client.close()
    assert "holds no positions" in str(world.errors[0])
    assert path.read_text() == '{"a": 7}'


REQUIRED = {
    "kind": "room.snapshot_required",
    "room_id": "a",
    "stream_id": "A",
    "event_id": 20,
    "reason": "window_exceeded",
}


async def test_a_snapshot_of_pages_is_one_event_in_its_place(world: World) -> None:
    page = {"room_id": "a", "stream_id": "A", "event_id": 21}
    url = "http://there/rooms/a/snapshot"
    world.net.pages = {
        url: {**page, "messages": [message(1)], "members": [], "has_more": True, "next_cursor": "c d"},
        f"{url}?cursor=c+d": {**page, "messages": [message(2)], "has_more": False, "next_cursor": None},
    }
    wire = await world.join()
    room = world.client.room("a")
    wire.say(message(1), {**REQUIRED, "snapshot_url": "/rooms/a/snapshot"}, message(21), message(22))
    assert (await within(anext(room)))["event_id"] == 1
    snapshot = await within(anext(room))
    assert snapshot["kind"] == "room.snapshot"
    assert [item["event_id"] for item in snapshot["items"]] == [1, 2]
    assert (snapshot["reason"], snapshot["members"]) == ("window_exceeded", [])
    assert room.position == {"stream_id": "A", "event_id": 1}
    assert (await within(anext(room)))["event_id"] == 22
    assert room.position == {"stream_id": "A", "event_id": 21}


BAD_PAGES = [
    OSError("HTTP 500"),
    ValueError("no JSON"),
    "text",
    {"stream_id": 1, "event_id": 21, "messages": []},
    {"stream_id": "A", "event_id": 21, "messages": {}},
    {"stream_id": "A", "event_id": 21, "messages": [], "has_more": True},
]


async def test_a_snapshot_that_cannot_be_had_is_asked_for_again(world: World) -> None:
    good = {"stream_id": "A", "event_id": 21, "messages": []}
    world.net.pages = {"http://there/rooms/a/snapshot": [*BAD_PAGES, good]}
    wire = await world.join()
    room = world.client.room("a")
    wire.say(dict(REQUIRED))
    for n in range(len(BAD_PAGES)):
        await world.watch.until(lambda n=n: len(world.errors) > n)  # type: ignore[misc]
        world.clock.pass_to_timer()
    assert (await within(anext(room)))["kind"] == "room.snapshot"


async def test_a_snapshot_elsewhere_is_fetched_without_the_token() -> None:
    world = World(token="secret")
    world.net.pages = {"https://elsewhere/state": {"stream_id": "A", "event_id": 20, "messages": []}}
    wire = await world.join()
    wire.say({**REQUIRED, "snapshot_url": "https://elsewhere/state"})
    assert (await within(anext(world.client.room("a"))))["kind"] == "room.snapshot"
    assert world.net.asked == [("https://elsewhere/state", None)]
    await world.client.close(0)


async def test_a_snapshot_of_the_application() -> None:
    asked: list[SnapshotRequired] = []

    async def load(required: SnapshotRequired) -> Event:
        asked.append(required)
        return {"stream_id": "A", "event_id": 20, "items": [], "mine": True} if len(asked) > 1 else {}

    world = World(snapshot=load)
    wire = await world.join()
    wire.say(dict(REQUIRED))
    await world.watch.until(lambda: len(world.errors) == 1)
    world.clock.pass_to_timer()
    event = await within(anext(world.client.room("a")))
    assert event["mine"]
    assert asked[0] == asked[1] == {
        "room_id": "a", "reason": "window_exceeded", "stream_id": "A", "event_id": 20, "url": "http://there/rooms/a/snapshot",
    }  # fmt: skip
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


async def test_close_has_a_deadline(world: World) -> None:
    wire = await world.join()
    sending = asyncio.ensure_future(world.client.room("a").send("never answered"))
    await wire.heard("chat.send")
    await within(world.client.close(0.01))
    with pytest.raises(ContinuoError, match="closed"):
        await sending


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

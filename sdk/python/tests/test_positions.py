"""What a client remembers: stores, those that fail, and snapshots where memory does not help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo_realtime import Event, FileStore, MemoryStore, Position, SnapshotRequired
from fakes import World, message
from harness import within


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World()
    yield one
    await one.client.close(0)


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

"""The client against the real server, through a proxy that makes connections fail."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from continuo_realtime import Client, Event, FileStore, MessageList
from fakes import Fast
from harness import Proxy, Server, Watch, within

CONFIG = [
    "mode: development",
    "rooms: {retry_base: 20ms, retry_max: 200ms}",
    "apps:",
    "  - id: app",
    "    keys: [{key: key, secret: secret-of-the-fault-tests}]",
    '    channels: [{pattern: "*", mutable: true}]',
]
SEEDS = (1, 2)
MESSAGES = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("faults"), CONFIG).start()
    yield one
    one.end()


class Reader:
    """Keeps what a room hands over."""

    def __init__(self, client: Client, room: str) -> None:
        self.room = client.room(room)
        self.events: list[Event] = []
        self.list = MessageList()
        self.watch = Watch()
        self.room.on_event(self._take)
        self.room.on_state(self.watch.changed)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.list.apply(event)
        self.watch.changed()

    def ids(self) -> list[int]:
        return [event["event_id"] for event in self.events if event["kind"] != "room.snapshot"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_faults_leave_no_gap_and_no_duplicate(server: Server, seed: int) -> None:
    proxy = Proxy(server.host, "--seed", str(seed))
    room = f"faults-{seed}"
    try:
        async with Client(server.url) as sender, Client(proxy.url, clock=Fast()) as client:
            states: list[str] = []
            client.on_state(lambda state: states.append(state["state"]))
            client.on_error(lambda error: None)
            reader = Reader(client, room)
            await within(reader.room.join())
            await sender.room(room).join()
            sender.room(room).on_event(lambda event: None)
            await proxy.post("/faults?on=true")
            for n in range(MESSAGES):
                sent = await within(sender.room(room).send(f"message {n}"))
                if n % 10 == 9:
                    await sender.room(room).append(sent["message_id"], "!")
                if n % 12 == 11:
                    await proxy.post("/cut-mid-frame")
            await proxy.post("/heal")
            last = sent["event_id"] + 1 if MESSAGES % 10 == 0 else sent["event_id"]
            await reader.watch.until(lambda: reader.ids()[-1:] == [last], reader.ids)
            assert states.count("waiting") >= 3, states
            assert reader.ids() == list(range(1, last + 1)), f"--seed {seed}"
            expected = [f"message {n}" + ("!" if n % 10 == 9 else "") for n in range(MESSAGES)]
            assert [message["text"] for message in reader.list] == expected
    finally:
        proxy.end()


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_sent_through_faults_is_there_once(server: Server, seed: int) -> None:
    proxy = Proxy(server.host, "--seed", str(seed))
    room = f"sends-{seed}"
    try:
        async with Client(proxy.url, clock=Fast()) as sender, Client(server.url) as client:
            sender.on_error(lambda error: None)
            reader = Reader(client, room)
            await within(reader.room.join())
            await within(sender.room(room).join())
            sender.room(room).on_event(lambda event: None)
            await proxy.post("/faults?on=true")
            texts = [f"message {n}" for n in range(MESSAGES // 2)]
            answers = asyncio.gather(*(sender.room(room).send(text) for text in texts))
            await proxy.post("/cut")
            await proxy.post("/heal")
            accepted = await within(answers)
            await reader.watch.until(lambda: len(reader.events) == len(texts), reader.ids)
            assert sorted(event["text"] for event in reader.events) == sorted(texts)
            assert sorted(one["event_id"] for one in accepted) == reader.ids()
    finally:
        proxy.end()


async def test_a_half_open_connection_is_found_out(server: Server) -> None:
    proxy = Proxy(server.host)
    try:
        async with Client(proxy.url, clock=Fast()) as client, Client(server.url) as other:
            watch = Watch()
            client.on_state(watch.changed)
            reader = Reader(client, "half-open")
            await within(reader.room.join())
            await other.room("half-open").join()
            await proxy.post("/stall")
            sending = asyncio.ensure_future(other.room("half-open").send("not heard"))
            await watch.until(lambda: client.state["state"] == "waiting")
            assert client.state["code"] == 0
            await within(sending)
            await reader.watch.until(lambda: reader.ids() == [1])
    finally:
        proxy.end()


CHILD = """
import asyncio, sys
from continuo_realtime import Client, FileStore

async def main(url, path, room):
    async with Client(url, cursors=FileStore(path)) as client:
        await client.room(room).join()
        async for event in client.room(room):
            print(event["event_id"], flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_kill_9_of_a_client_with_a_file_store(server: Server, tmp_path: Path) -> None:
    """At least once, never a gap: whatever was being done when the process was killed."""
    path = tmp_path / "cursors.json"
    source = str(Path(__file__).parents[1] / "src")
    room = "killed"
    handled: list[int] = []

    async def child(until: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, server.url, str(path), room],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        assert process.stdout is not None
        try:
            while not handled or handled[-1] < until:
                line = await within(asyncio.to_thread(process.stdout.readline))
                assert line, "the child has ended"
                handled.append(int(line))
        finally:
            process.send_signal(signal.SIGKILL)
            handled.extend(int(line) for line in process.stdout.read().split())
            process.wait()

    async with Client(server.url) as client:
        await client.room(room).join()
        client.room(room).on_event(lambda event: None)
        # The room has a log from here on, and the position of its beginning is stored.
        await FileStore(path).save(room, {"stream_id": await _stream(client, room), "event_id": 0})
        sent = 0
        for kill in range(4):
            running = asyncio.ensure_future(child(sent + 20 + kill))
            while not running.done():
                await client.room(room).send(f"message {sent}")
                sent += 1
            await running
        last = (await client.room(room).send("the last"))["event_id"]
        await child(last)
    assert set(handled) == set(range(1, last + 1)), "a gap"
    for before, after in itertools.pairwise(handled):
        assert after <= before + 1, f"{after} came after {before}"


async def _stream(client: Client, room: str) -> str:
    position = client.room(room).position
    assert position is not None
    return position["stream_id"]

"""A peer of the test of three languages: it writes into a room, and says what it has seen of it. See peers_test.go."""

import asyncio
import json
import os
import sys

from continuo_realtime import Client, Event, MessageList, Room

NAME = os.environ["PEER_NAME"]
SENDS = int(os.environ["PEER_SENDS"])


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


async def command() -> dict[str, int]:
    return json.loads(await asyncio.to_thread(sys.stdin.readline))


async def write(room: Room) -> None:
    mine = ""
    for i in range(SENDS):
        match i % 5:
            case 0:
                mine = (await room.send(text=f"{NAME} {i}"))["message_id"]
            case 1:
                await room.append(mine, f" and {i}")
            case 2:
                await room.react(mine, "like")
            case 3:
                await room.edit(mine, text=f"{NAME} {i}, edited")
            case _ if i % 10 == 9:
                await room.delete(mine)
            case _:
                await room.append(mine, "!")


async def main() -> None:
    client = Client(os.environ["PEER_URL"], token=os.environ["PEER_TOKEN"])
    messages = MessageList()
    ids: list[int] = []
    connections, snapshots, position = 0, 0, 0
    seen = asyncio.Event()

    def count(state: dict[str, object]) -> None:
        nonlocal connections
        connections += state["state"] == "connected"

    def handle(event: Event) -> None:
        nonlocal snapshots, position
        messages.apply(event)
        if "event_id" not in event:
            return
        position = event["event_id"]
        if event["kind"] == "room.snapshot":
            snapshots += 1
        else:
            ids.append(position)
        seen.set()

    client.on_state(count)
    client.on_error(lambda error: print(NAME, error, file=sys.stderr))
    room = client.room(os.environ["PEER_ROOM"])
    room.on_event(handle)
    await client.connect()
    await room.join()
    say({"joined": True})
    await command()
    await write(room)
    say({"wrote": SENDS})
    last = (await command())["last"]
    while position < last:
        seen.clear()
        await seen.wait()
    rows = [
        [m["message_id"], m["text"], m["version"], m["sender"], m.get("counts", {}), m.get("incomplete", False)]
        for m in messages
    ]
    say({"ids": ids, "connections": connections, "snapshots": snapshots, "list": rows})
    await client.close()


asyncio.run(main())

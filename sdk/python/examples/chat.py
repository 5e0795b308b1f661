"""A chat in a terminal: python chat.py [URL] [ROOM]. Lines that you write are sent; start it twice to talk."""

import asyncio
import sys

from continuo_realtime import Client, Event, FileStore
from continuo_realtime.describe import describe


def show(event: Event) -> None:
    who = event.get("sender", "the server")
    match event["kind"]:
        case "chat.message":
            print(f"{who}: {event.get('text', event.get('payload'))}")
        case "message.update":
            print(f"{who} has changed {event['message_id']}: {event.get('text', event.get('payload'))}")
        case "message.delete":
            print(f"{who} has deleted {event['message_id']}")


async def main(url: str = "http://127.0.0.1:6001", room_name: str = "lobby") -> None:
    client = Client(url, cursors=FileStore("chat-cursors.json"))
    client.on_state(lambda state: print(f"-- {describe(state)}"))
    async with client:
        room = client.room(room_name)
        room.on_state(lambda state: print(f"-- {room_name}: {describe(state)}"))
        room.on_event(show)
        await room.join(rewind={"count": 10})
        while line := await asyncio.to_thread(sys.stdin.readline):
            await room.send(line.rstrip("\n"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

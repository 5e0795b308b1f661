"""What a backend does: python backend.py [URL APP KEY SECRET], by default those of development mode."""

import asyncio
import sys

from continuo_realtime.server import Server


async def main(
    url: str = "http://127.0.0.1:6001", app: str = "app-id", key: str = "app-key", secret: str = "app-secret"
) -> None:
    server = Server(url, app, key, secret)
    first = await server.publish("lobby", "chat.message", "an order came in")
    await server.mutate("lobby", first["message_serial"], "update", "an order came in, and was paid")
    await server.put("prices", "BTC", "price", {"p": 61_000})
    await server.publish_batch([{"room": "lobby", "event": "chat.message", "data": f"line {n}"} for n in range(3)])
    page = await server.history("lobby", limit=2)
    print("newest:", [item["message"]["data"] for item in page["items"]])
    state = await server.snapshot("prices")
    print("prices:", {item["key"]: item["data"] for item in state["items"]})
    print("token:", server.mint_token("ann", ttl=600, rooms=[{"pattern": "lobby", "can": ["join", "send"]}]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

#!/usr/bin/env python3
"""Speaks the rooms protocol without a client library: connects, joins, sends, loses its connection, resumes, is refused
with a bad token, and falls back to a snapshot.

Start `continuo serve`, then: pip install websockets; python rooms_lab.py [HOST:PORT] [TOKEN]
"""

import json
import random
import sys
import urllib.request

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PATIENCE = 10  # seconds


class Lab:
    def __init__(self, server, token="", room=None, out=print):
        self.server, self.token, self.out = server, token, out
        self.room = room or f"lab-{random.getrandbits(32)}"
        self.stream, self.cursor = None, 0  # the position: which log, and the last event of it that was handled
        self.socket = None

    def connect(self):
        protocols = ["continuo.rooms.v1"] + ([f"continuo.token.{self.token}"] if self.token else [])
        self.socket = connect(f"ws://{self.server}/rooms", subprotocols=protocols, compression=None)
        self.wait("server.hello")

    def send(self, kind, **fields):
        self.socket.send(json.dumps({"kind": kind, "room_id": self.room, **fields}))

    def wait(self, kind):
        """Reads frames, moves the position by the protocol's rules, and returns the first of a kind."""
        while True:
            frame = json.loads(self.socket.recv(timeout=PATIENCE))
            match frame["kind"]:
                case "room.joined":
                    self.stream = frame["stream_id"]
                    if not frame["resumed"] and frame["replaying"] == 0 and kind == "room.joined":
                        self.cursor = frame["event_id"]
                    self.out(f"   joined at event {frame['event_id']}, resumed: {str(frame['resumed']).lower()}")
                case "chat.message" | "message.update" | "message.append" | "message.delete" as event:
                    if frame["event_id"] > self.cursor:  # an event that was seen before is dropped
                        text = json.dumps(frame.get("text", ""))
                        self.out(f"   event {frame['event_id']}: {event} of message {frame['message_id']}: {text}")
                        self.cursor = frame["event_id"]
                case "room.resumed":
                    self.cursor = frame["event_id"]
                    self.out(f"   resumed at event {frame['event_id']}, {frame['count']} missed")
                case "room.snapshot_required":
                    self.out(f"   snapshot required: {frame['reason']}")
                case "server.error":
                    raise RuntimeError(frame["message"])
            if frame["kind"] == kind:
                return frame

    def resume(self):
        self.send("client.join", resume_from=self.cursor, stream_id=self.stream)

    def run(self):
        self.out("1. connect, join, send")
        self.connect()
        self.send("client.join")
        self.wait("room.joined")
        for text in ("one", "two"):
            self.send("chat.send", text=text, idempotency_key=text)
            self.wait("chat.message")

        self.out("2. the connection breaks; meanwhile others go on")
        self.socket.socket.close()
        self.others()

        self.out("3. come back with the position")
        self.connect()
        self.resume()
        self.wait("room.resumed")

        self.out("4. a token that is refused")
        self.refused()

        self.out("5. a position that cannot be proven: take the snapshot, go on from there")
        self.fallback()
        self.socket.close()

    def others(self):
        """Somebody else in the room."""
        other = Lab(self.server, self.token, self.room, out=lambda _: None)
        other.connect()
        other.send("client.join")
        other.wait("room.joined")
        for text in ("three", "fo"):
            other.send("chat.send", text=text)
            other.wait("chat.accepted")
        other.send("message.append", message_id="4", text="ur")
        other.wait("message.accepted")
        other.socket.close()

    def refused(self):
        try:
            connect(f"ws://{self.server}/rooms?token=garbage")
        except InvalidStatus as refusal:
            self.out(f"   HTTP {refusal.response.status_code}: no retry until there is another token")
        else:
            raise RuntimeError("a bad token was accepted")

    def fallback(self):
        self.send("client.leave")
        self.wait("room.left")
        self.stream = "of-another-time"
        self.resume()
        required = self.wait("room.snapshot_required")
        request = urllib.request.Request(f"http://{self.server}{required['snapshot_url']}")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            state = json.load(answer)
        self.stream, self.cursor = state["stream_id"], state["event_id"]
        newest = json.dumps(state["messages"][-1]["text"])
        self.out(f"   snapshot at event {self.cursor}: {len(state['messages'])} messages, the newest {newest}")
        self.send("chat.send", text="and on it goes")
        self.wait("chat.message")


if __name__ == "__main__":
    Lab(*(sys.argv[1:] or ["127.0.0.1:6001"])).run()

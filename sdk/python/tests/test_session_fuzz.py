"""The session under inputs that no server and no application in their right mind would give, in random order."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest

from continuo_realtime import effects, inputs
from continuo_realtime.session import Session

SEEDS = range(60)
STEPS = 400
ROOMS = ("a", "b", "c")
STREAMS = ("A", "B")
KINDS = [
    *["server.hello", "server.error", "server.reconnect", "server.pong", "server.token_expiring"],
    *["room.joined", "room.resumed", "room.position", "room.snapshot_required", "room.left", "room.presence"],
    *["chat.message"] * 6,
    *["message.append", "message.delete", "presence.joined", "presence.changed", "chat.accepted"],
]
CODES = (1000, 1001, 1006, 1008, 1013, 4200, 4202, 4301, 4401, 4403, 4409, 401, 403, 429, 500, 0)


class Driver:
    """Plays one seed, and knows what must hold whatever happens."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.buffer = self.random.choice((1, 4, 16))
        self.session = Session("fuzz/1", self.buffer)
        self.now = 0
        self.next_id = 0
        self.open: set[str] = set()
        self.waiting: dict[str, deque[int | None]] = {room: deque() for room in ROOMS}
        self.seen: dict[str, int] = {}
        self.asked: deque[str] = deque(maxlen=8)
        self.sensible: deque[inputs.Input] = deque()  # what a world in its right mind would say next

    def frame(self) -> dict[str, Any]:
        pick = self.random.choice
        frame: dict[str, Any] = {"room_id": pick(ROOMS), "event_id": self.random.randrange(30)}
        frame |= {
            "stream_id": pick(STREAMS),
            "reason": "window_exceeded",
            "code": pick(("unavailable", "unauthorized")),
        }
        frame |= {"retryable": pick((True, False)), "replaying": pick((0, 3)), "resumed": pick((True, False))}
        frame |= {
            "session_id": "s",
            "protocol_version": 1,
            "message_id": "1",
            "user_id": "ann",
            "count": 1,
            "items": [],
        }
        frame["kind"] = pick(KINDS)
        if self.random.random() < 0.5 and self.asked:
            frame["correlation_id"] = pick(self.asked)
        if self.random.random() < 0.2:
            frame["members"] = [{"user_id": "ann"}]
        return frame

    def input(self) -> inputs.Input:
        if self.sensible and self.random.random() < 0.6:
            return self.sensible.popleft()
        if self.random.random() < 0.5:
            return inputs.Read(self.frame())
        return self.odd()

    def odd(self) -> inputs.Input:
        pick, room = self.random.choice, self.random.choice(ROOMS)
        match self.random.randrange(14):
            case 0:
                return inputs.Connect()
            case 1 | 2:
                return inputs.Token(pick(("one", "two", None)))
            case 3:
                return inputs.Opened()
            case 4:
                return pick((inputs.Closed(pick(CODES)), inputs.Refused(pick(CODES), 10), inputs.TokenFailed("x")))
            case 5:
                return pick((inputs.Online(), inputs.Offline(), inputs.Visible(), inputs.Malformed("x")))
            case 6 | 7:
                cursor = pick((None, {"stream_id": pick(STREAMS), "event_id": self.random.randrange(20)}))
                return inputs.Join(room, cursor=cursor, rewind=pick((None, {"count": 2})))
            case 8:
                return inputs.Leave(room) if self.random.random() < 0.3 else inputs.Timer()
            case 9:
                self.next_id += 1
                self.open.add(f"r{self.next_id}")
                frame = {"kind": "chat.send", "room_id": room, "ephemeral": pick((True, False))}
                return inputs.Request(f"r{self.next_id}", frame, pick((True, False)))
            case 10:
                return pick(
                    (inputs.Snapshot(room, pick(STREAMS), self.random.randrange(40)), inputs.SnapshotFailed(room))
                )
            case 11 | 12:
                return inputs.Handled(room)
        return inputs.Timer()

    def step(self) -> None:
        self.now += self.random.choice((0, 0, 1, 50, 3000))
        event = self.input()
        if isinstance(event, inputs.Leave):
            self.waiting[event.room].clear()
            self.seen.pop(event.room, None)
        if isinstance(event, inputs.Snapshot):
            self.seen.pop(event.room, None)  # it may take the room back to where it is
        if isinstance(event, inputs.Handled) and self.waiting[event.room]:
            self.waiting[event.room].popleft()
        found = self.session.step(self.now, event, self.random.random())
        timers = [i for i, effect in enumerate(found) if isinstance(effect, effects.SetTimer)]
        assert timers in ([], [len(found) - 1])
        for effect in found:
            self.judge(effect)
            self.follow(effect)

    def follow(self, effect: effects.Effect) -> None:
        """What the world would answer."""
        hello = {"kind": "server.hello", "session_id": "s", "protocol_version": 1}
        match effect:
            case effects.State(state) if state["state"] in ("stopped", "waiting"):
                self.sensible.append(inputs.Connect())
            case effects.WantToken():
                self.sensible.append(inputs.Token(self.random.choice(("one", "two"))))
            case effects.Dial():
                self.sensible.extend([inputs.Opened(), inputs.Read(hello), inputs.Read(dict(hello))])
                self.sensible.extend(inputs.Join(room) for room in ROOMS)
            case effects.Send(frame) if frame["kind"] == "client.join":
                joined = {"kind": "room.joined", "room_id": frame["room_id"], "stream_id": frame.get("stream_id", "A")}
                more = {"correlation_id": frame["correlation_id"], "resumed": "resume_from" in frame}
                self.sensible.append(inputs.Read({**joined, **more, "event_id": self.random.randrange(20)}))
            case effects.FetchSnapshot(room, _, stream_id, event_id):
                self.sensible.append(inputs.Snapshot(room, stream_id, event_id))

    def judge(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Deliver(room, frame):
                self.waiting[room].append(frame.get("event_id"))
                assert len(self.waiting[room]) <= self.buffer, "more than the buffer"
                if "event_id" in frame and frame["kind"] != "room.joined":
                    assert frame["event_id"] > self.seen.get(room, -1), "a duplicate"
                    self.seen[room] = frame["event_id"]
            case effects.Answer(id) | effects.Failed(id):
                assert id in self.open, "answered twice"
                self.open.discard(id)
            case effects.Send(frame) if "correlation_id" in frame:
                self.asked.append(frame["correlation_id"])
            case effects.SetTimer(in_ms):
                assert in_ms is None or in_ms >= 0


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_upsets_a_session(seed: int) -> None:
    driver = Driver(seed)
    for _ in range(STEPS):
        driver.step()
    for effect in driver.session.step(driver.now, inputs.Close()):
        driver.judge(effect)
    assert driver.open == set(), "a request without an end"
    assert driver.session.step(driver.now, inputs.Timer()) == []

"""The vectors of spec/vectors/client, which all client libraries share."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from continuo_realtime import MemberList, MessageList, codec, effects, inputs
from continuo_realtime.describe import describe
from continuo_realtime.session import Session
from harness import matches, vectors

INPUTS = {
    "connect": inputs.Connect, "token": inputs.Token, "token_failed": inputs.TokenFailed, "opened": inputs.Opened,
    "frame": inputs.Read, "malformed": inputs.Malformed, "refused": inputs.Refused, "closed": inputs.Closed,
    "timer": inputs.Timer, "offline": inputs.Offline, "online": inputs.Online, "visible": inputs.Visible,
    "join": inputs.Join, "leave": inputs.Leave, "request": inputs.Request, "cancel": inputs.Cancel,
    "handled": inputs.Handled, "snapshot": inputs.Snapshot, "snapshot_failed": inputs.SnapshotFailed,
    "close": inputs.Close,
}  # fmt: skip

EFFECTS = {
    effects.WantToken: "want_token", effects.Dial: "dial", effects.Send: "send", effects.HangUp: "hang_up",
    effects.SetTimer: "timer", effects.Deliver: "deliver", effects.Cursor: "cursor",
    effects.FetchSnapshot: "fetch_snapshot", effects.Answer: "answer", effects.Failed: "failed",
    effects.State: "state", effects.RoomState: "room", effects.Warn: "warn",
}  # fmt: skip


def named(case: Any) -> str:
    return str(case["name"])


def event(value: dict[str, Any]) -> inputs.Input:
    members = {name: member for name, member in value.items() if name != "do"}
    made: inputs.Input = INPUTS[value["do"]](**members)
    return made


def told(effect: effects.Effect) -> dict[str, Any]:
    """An effect as the vectors write it: what is absent is left out."""
    members = {field.name: getattr(effect, field.name) for field in dataclasses.fields(effect)}
    if isinstance(effect, effects.State):
        members = effect.state
    elif isinstance(effect, effects.RoomState):
        members = {"room": effect.room, **effect.state}
    kept = ("token", "in_ms")
    present = {name: value for name, value in members.items() if name in kept or value not in (None, "")}
    return {"do": EFFECTS[type(effect)], **present}


def same(wanted: list[Any], found: list[Any]) -> bool:
    """Equal, where a message of "*" stands for any text."""
    return len(wanted) == len(found) and all(
        one == {**other, "message": "*"} if one.get("message") == "*" and other.get("message") else one == other
        for one, other in zip(wanted, found, strict=True)
    )


@pytest.mark.parametrize("case", vectors("session.json"), ids=named)
def test_session(case: Any) -> None:
    session = Session(case.get("client", ""), case.get("buffer", 1024))
    now = 0
    for i, step in enumerate(case["steps"]):
        now = step.get("now", now)
        found = [told(effect) for effect in session.step(now, event(step["in"]), step.get("random", 0.5))]
        wanted = step.get("out", [])
        assert same(wanted, found), f"step {i}: {step['in']}\nwanted {_lines(wanted)}\nfound  {_lines(found)}"


def _lines(values: list[Any]) -> str:
    return "\n       ".join(json.dumps(value) for value in values)


@pytest.mark.parametrize("case", vectors("codec.json"), ids=named)
def test_codec(case: Any) -> None:
    if "encode" in case:
        assert json.loads(codec.encode(case["encode"])) == json.loads(case["text"])
    elif case.get("malformed"):
        with pytest.raises(codec.Malformed):
            codec.decode(case["text"])
    elif case.get("ignored"):
        assert codec.decode(case["text"]) is None
    else:
        assert matches(case["frame"], codec.decode(case["text"]))


@pytest.mark.parametrize("case", vectors("messages.json"), ids=named)
def test_messages(case: Any) -> None:
    messages = MessageList()
    for step in case["steps"]:
        if "event" in step:
            messages.apply(step["event"])
        elif "snapshot" in step:
            messages.snapshot(step["snapshot"])
        else:
            messages.history(step["history"]["items"] if isinstance(step["history"], dict) else step["history"])
        assert list(messages) == step["list"], step


@pytest.mark.parametrize("case", vectors("members.json"), ids=named)
def test_members(case: Any) -> None:
    members = MemberList()
    for step in case["steps"]:
        members.apply(step["event"] if "event" in step else {**step["snapshot"], "kind": "room.snapshot"})
        assert list(members) == step["list"], step
        assert members.count == step["count"], step


@pytest.mark.parametrize("case", vectors("describe.json"), ids=lambda case: str(case["text"]))
def test_describe(case: Any) -> None:
    assert describe(case["state"] if "state" in case else case["room"]) == case["text"]

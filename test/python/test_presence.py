"""Presence history and snapshots with Sockudo's Python libraries, unchanged, against the real server in development mode."""

import asyncio
import json
import queue

import pysher
import pytest
import sockudo_http_python as backend_sdk
import sockudo_python.client as client_sdk

PATIENCE = 10
ROOM = "presence-hall"


@pytest.fixture(scope="module")
def backend(server):
    return backend_sdk.Sockudo("1234", "app-key", "app-secret", options=backend_sdk.SockudoOptions(host="127.0.0.1", port=server.port, http2=False))


class Tab(pysher.Pusher):
    """One connection that is a member of ROOM; its events are waited for."""

    def __init__(self, server, user):
        self.events = queue.Queue()
        super().__init__("app-key", custom_host="127.0.0.1", port=server.port, secure=False, secret="app-secret", auto_sub=True,
                         user_data={"user_id": user, "user_info": {"name": user.upper()}})
        self.connection.bind("pusher:connection_established", lambda data: self.events.put(("connected", data)))
        self.connect()
        self.wait("connected")
        self.subscribe(ROOM)
        self.wait("pusher_internal:subscription_succeeded")

    def _connection_handler(self, event_name, data, channel_name):
        self.events.put((event_name, data))
        super()._connection_handler(event_name, data, channel_name)

    def wait(self, event):
        while True:
            name, data = self.events.get(timeout=PATIENCE)
            if name == event:
                return data


@pytest.fixture(scope="module")
def story(server):
    """anna comes with two tabs, ben comes, anna goes."""
    first, second, ben = Tab(server, "anna"), Tab(server, "anna"), Tab(server, "ben")
    first.unsubscribe(ROOM)
    second.unsubscribe(ROOM)
    assert json.loads(ben.wait("pusher_internal:member_removed"))["user_id"] == "anna"
    yield
    for tab in (first, second, ben):
        tab.disconnect(timeout=5)


def read(result):
    assert result.ok, result.message
    return json.loads(result.message)


def changes(items):
    return [(i["user_id"], i["event"], i["cause"]) for i in items]


TOLD = [("anna", "member_added", "join"), ("ben", "member_added", "join"), ("anna", "member_removed", "disconnect")]


def test_history(backend, story):
    page = read(backend.get_channel_presence_history(ROOM, backend_sdk.PresenceHistoryParams(direction="oldest_first")))
    assert changes(page["items"]) == TOLD
    assert page["items"][0]["presence_event"]["user_info"] == {"name": "ANNA"}
    assert page["continuity"]["complete"] and not page["continuity"]["degraded"]
    state = read(backend.get_channel_presence_history_state(ROOM))
    assert state["stream"]["stream_id"] == page["continuity"]["stream_id"]


def test_pages(backend, story):
    items, cursor = [], None
    while True:
        page = read(backend.get_channel_presence_history(ROOM, backend_sdk.PresenceHistoryParams(limit=1, cursor=cursor)))
        items += page["items"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert changes(items) == TOLD[::-1]


def test_snapshots(backend, story):
    def users(**when):
        page = read(backend.get_channel_presence_snapshot(ROOM, backend_sdk.PresenceSnapshotParams(**when)))
        return [m["user_id"] for m in page["members"]]

    assert users() == ["ben"]
    events = read(backend.get_channel_presence_history(ROOM, backend_sdk.PresenceHistoryParams(direction="oldest_first")))["items"]
    assert users(at_serial=events[0]["serial"]) == ["anna"]
    assert users(at_serial=events[1]["serial"]) == ["anna", "ben"]
    assert users(at_time_ms=events[0]["published_at_ms"] - 1) == []
    ahead = backend.get_channel_presence_snapshot(ROOM, backend_sdk.PresenceSnapshotParams(at_serial=999))
    assert ahead.status_code == 400
    assert backend.get_channel_presence_history("news").status_code == 400


def test_the_client_sdk_through_the_proxy(server, story):
    async def ask():
        proxy = server.url + "/dev/proxy"
        client = client_sdk.SockudoClient("app-key", client_sdk.SockudoOptions(
            cluster="local", ws_host="127.0.0.1", ws_port=server.port, force_tls=False,
            presence_history=client_sdk.PresenceHistoryOptions(endpoint=proxy),
            versioned_messages=client_sdk.VersionedMessageOptions(endpoint=proxy)))
        page = await client.config.fetch_presence_history(ROOM, client_sdk.PresenceHistoryParams(direction="oldest_first", limit=2))
        again = await page.next()
        then = await client.config.fetch_presence_snapshot(ROOM, client_sdk.PresenceSnapshotParams(at_serial=page.items[1].serial))
        now = await client.config.fetch_presence_snapshot(ROOM, client_sdk.PresenceSnapshotParams())
        await client.config.perform_versioned_message_action("chat", "create", {"event": "said", "data": "hel"})
        ack = await client.config.perform_versioned_message_action("chat", "append", {"message_id": "1", "data": "lo"})
        return page, again, then, now, ack

    page, again, then, now, ack = asyncio.run(ask())
    assert [(i.user_id, i.event, i.cause) for i in page.items + again.items] == TOLD
    assert page.has_more and not again.has_more
    assert [m.user_id for m in then.members] == ["anna", "ben"]
    assert [m.user_id for m in now.members] == ["ben"] and now.member_count == 1
    assert ack.action == "append" and ack.raw["status"] == "applied"
    assert ack.history_serial == 1 and ack.delivery_serial == 2


def test_reset(backend, story):
    before = read(backend.get_channel_presence_history_state(ROOM))["stream"]["stream_id"]
    done = read(backend.reset_channel_presence_history(ROOM, "a test", "me"))
    assert done["previous_stream_id"] == before != done["new_stream_id"]
    assert done["purged_events"] >= 3

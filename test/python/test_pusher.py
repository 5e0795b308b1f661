"""Pusher's Python server library and pysher, unchanged, against the real server in development mode."""

import json
import queue

import pusher
import pysher
import pytest

PATIENCE = 10


@pytest.fixture
def backend(server):
    return pusher.Pusher(app_id="1234", key="app-key", secret="app-secret", host="127.0.0.1", port=server.port, ssl=False)


class Listening(pysher.Pusher):
    """A pysher client that hands on every event of every channel, whenever it comes."""

    def __init__(self, events, *args, **options):
        self.events = events
        super().__init__(*args, **options)

    def _connection_handler(self, event_name, data, channel_name):
        self.events.put((event_name, data))
        super()._connection_handler(event_name, data, channel_name)


class Client:
    """A pysher client whose events are waited for."""

    def __init__(self, server, **options):
        self.events = queue.Queue()
        self.client = Listening(self.events, "app-key", custom_host="127.0.0.1", port=server.port, secure=False,
                                secret="app-secret", reconnect_interval=1, auto_sub=True, **options)
        self.client.connection.bind("pusher:connection_established", lambda data: self.events.put(("connected", data)))
        self.client.connect()
        self.wait("connected")

    def subscribe(self, name):
        channel = self.client.subscribe(name)
        self.wait("pusher_internal:subscription_succeeded")
        return channel

    def wait(self, event):
        while True:
            name, data = self.events.get(timeout=PATIENCE)
            if name == event:
                return data


@pytest.fixture
def client(server):
    made = []

    def make(**options):
        made.append(Client(server, **options))
        return made[-1]

    yield make
    for one in made:
        one.client.disconnect(timeout=5)


def test_public(backend, client):
    one = client()
    one.subscribe("news")
    assert backend.trigger("news", "hello", {"n": 1}) == {}
    assert json.loads(one.wait("hello")) == {"n": 1}


def test_private_signed_by_the_client(backend, client):
    one = client()
    one.subscribe("private-room")
    backend.trigger("private-room", "secret", "text")
    assert one.wait("secret") == "text"


def test_several_channels_and_a_batch(backend, client):
    one = client()
    one.subscribe("a")
    one.subscribe("b")
    backend.trigger(["a", "b"], "e", "both")
    assert [one.wait("e"), one.wait("e")] == ["both", "both"]
    backend.trigger_batch([{"channel": "a", "name": "e", "data": "1"}, {"channel": "b", "name": "e", "data": "2"}])
    assert sorted([one.wait("e"), one.wait("e")]) == ["1", "2"]


def test_queries(backend, client):
    one = client()
    one.subscribe("query-1")
    assert backend.channels_info("query-") == {"channels": {"query-1": {}}}
    assert backend.channel_info("query-1", ["subscription_count"]) == {"occupied": True, "subscription_count": 1}
    assert backend.channel_info("query-2")["occupied"] is False


def test_presence(backend, client):
    anna = client(user_data={"user_id": "anna", "user_info": {"name": "A"}})
    channel = anna.subscribe("presence-desk")
    ben = client(user_data={"user_id": "ben", "user_info": {"name": "B"}})
    ben.subscribe("presence-desk")
    assert json.loads(anna.wait("pusher_internal:member_added"))["user_id"] == "ben"
    users = backend.users_info("presence-desk")["users"]
    assert sorted(u["id"] for u in users) == ["anna", "ben"]
    ben.client.unsubscribe("presence-desk")
    assert json.loads(anna.wait("pusher_internal:member_removed"))["user_id"] == "ben"
    assert channel.name == "presence-desk"


def test_wrong_secret_is_refused(server):
    wrong = pusher.Pusher(app_id="1234", key="app-key", secret="not-it", host="127.0.0.1", port=server.port, ssl=False)
    with pytest.raises(pusher.errors.PusherBadAuth) as refused:
        wrong.trigger("news", "hello", "x")
    assert "signature" in str(refused.value)


def test_reconnect_after_a_kill(server, backend, client):
    one = client()
    one.subscribe("lasting")
    server.kill()
    server.start()
    one.wait("pusher_internal:subscription_succeeded")
    backend.trigger("lasting", "back", "again")
    assert one.wait("back") == "again"

"""Sockudo's Python libraries, unchanged, against the real server in development mode: recovery, rewind, history, mutable messages."""

import asyncio
import json

import pytest
import sockudo_http_python as backend_sdk
import sockudo_python as sdk

PATIENCE = 10


@pytest.fixture(scope="module")
def backend(server):
    return backend_sdk.Sockudo("1234", "app-key", "app-secret", options=backend_sdk.SockudoOptions(host="127.0.0.1", port=server.port, http2=False))


def read(result):
    assert result.ok, result.message
    return json.loads(result.message)


class Reader:
    """A client whose events are waited for."""

    def __init__(self, server, **options):
        proxy = server.url + "/dev/proxy"
        self.client = sdk.SockudoClient("app-key", sdk.SockudoOptions(
            cluster="local", ws_host="127.0.0.1", ws_port=server.port, force_tls=False, enabled_transports=[sdk.SockudoTransport.WS],
            connection_recovery=options.pop("connection_recovery", True),
            channel_authorization=sdk.ChannelAuthorizationOptions(endpoint=server.url + "/sockudo/auth"),
            channel_history=sdk.ChannelHistoryOptions(endpoint=proxy), versioned_messages=sdk.VersionedMessageOptions(endpoint=proxy), **options))
        self.events = asyncio.Queue()
        self.client.bind_global(lambda name, data: self.events.put_nowait((name, data)))

    async def __aenter__(self):
        await self.client.connect()
        await self.wait_for(lambda: self.client.connection_state is sdk.ConnectionState.CONNECTED)
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()

    async def wait_for(self, holds):
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    async def subscribe(self, name, **options):
        channel = self.client.subscribe(name, sdk.SubscriptionOptions(**options) if options else None)
        await self.wait_for(lambda: channel.is_subscribed)
        return channel

    async def next(self, *names):
        """The next event of these names; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                name, data = await self.events.get()
                if name in names:
                    return data

    async def take(self, n, *names):
        return [await self.next(*names) for _ in range(n)]

    def cut(self):
        """Ends the connection without a word. Until the next await nothing comes back."""
        self.client.socket.transport.abort()


def publish(backend, channel, *numbers, event="e"):
    for n in numbers:
        read(backend.trigger(channel, event, {"n": n}))


def numbers(events):
    return [e["n"] for e in events]


@pytest.mark.parametrize("channel", ["rec-public", "private-rec"])
async def test_recovery(server, backend, channel):
    async with Reader(server) as reader:
        await reader.subscribe(channel)
        publish(backend, channel, 1, 2)
        assert numbers(await reader.take(2, "e")) == [1, 2]
        for cut in range(3):
            first = 3 + 4 * cut
            reader.cut()
            publish(backend, channel, *range(first, first + 4))
            assert numbers(await reader.take(4, "e")) == list(range(first, first + 4))
            done = await reader.next("sockudo:resume_success")
            assert [(r["channel"], r["replayed"]) for r in done["recovered"]] == [(channel, 4)] and done["failed"] == []
        publish(backend, channel, 99)
        assert (await reader.next("e"))["n"] == 99


async def test_recovery_of_several_channels(server, backend):
    async with Reader(server) as reader:
        for name in ("many-a", "many-b", "private-many"):
            await reader.subscribe(name)
        publish(backend, ["many-a", "many-b", "private-many"], 1)
        await reader.take(3, "e")
        reader.cut()
        publish(backend, "many-a", 2, 3)
        publish(backend, "private-many", 4)
        assert sorted(numbers(await reader.take(3, "e"))) == [2, 3, 4]


async def test_recovery_over_a_kill_of_the_server(server, backend):
    async with Reader(server) as reader:
        await reader.subscribe("durable")
        publish(backend, "durable", 1, 2)
        await reader.take(2, "e")
        server.kill()
        server.start()
        publish(backend, "durable", 3, 4)
        assert numbers(await reader.take(2, "e")) == [3, 4]
        done = await reader.next("sockudo:resume_success")
        assert done["recovered"][0]["position"]["serial"] == 4


async def test_what_cannot_be_recovered_is_told(server, backend):
    async with Reader(server) as reader:
        await reader.subscribe("reset-me")
        publish(backend, "reset-me", 1)
        await reader.take(1, "e")
        reader.cut()
        read(backend.reset_channel_history("reset-me", "a test", "me"))
        publish(backend, "reset-me", 2)
        failed = await reader.next("sockudo:resume_failed")
        assert (failed["channel"], failed["code"], failed["reason"]) == ("reset-me", "stream_reset", "stream_id_mismatch")
        done = await reader.next("sockudo:resume_success")
        assert done["recovered"] == [] and done["failed"][0]["channel"] == "reset-me"
        publish(backend, "reset-me", 3)
        assert (await reader.next("e"))["n"] == 3, "it goes on live"


async def test_rewind(server, backend):
    publish(backend, "past", *range(1, 8))
    async with Reader(server) as reader:
        await reader.subscribe("past", rewind=sdk.SubscriptionRewind.count_messages(3))
        assert numbers(await reader.take(3, "e")) == [5, 6, 7]
        done = await reader.next("sockudo:rewind_complete")
        assert (done["historical_count"], done["live_count"], done["complete"], done["truncated_by_limit"]) == (3, 0, True, False)
        publish(backend, "past", 8)
        assert (await reader.next("e"))["n"] == 8
        reader.cut()  # it resumes and rewinds in one pass
        publish(backend, "past", 9, 10)
        assert numbers(await reader.take(2, "e")) == [9, 10]
        await reader.next("sockudo:resume_success")
    async with Reader(server) as reader:
        await reader.subscribe("past", rewind=sdk.SubscriptionRewind.seconds_back(60))
        assert numbers(await reader.take(10, "e")) == list(range(1, 11))
        done = await reader.next("sockudo:rewind_complete")
        assert done["complete"] and not done["truncated_by_retention"]


async def test_a_message_that_grows(server, backend):
    versions = "sockudo:message.append", "sockudo:message.update", "sockudo:message.delete"
    async with Reader(server) as fragments, Reader(server, append_mode=sdk.AppendMode.FULL) as whole, Reader(server) as late:
        await fragments.subscribe("answer")
        await whole.subscribe("answer")
        answer = read(backend.trigger("answer", "chat", "Hel", backend_sdk.TriggerOptions(info="position")))
        serial = answer["channels"]["answer"]["message_serial"]
        assert read(backend.append_message("answer", serial, "lo"))["action"] == "append"
        assert await fragments.take(2, "chat", *versions) == ["Hel", "lo"]
        assert await whole.take(2, "chat", *versions) == ["Hel", "Hello"]
        fragments.cut()
        read(backend.append_message("answer", serial, ", wor"))
        read(backend.append_message("answer", serial, "ld"))
        assert await fragments.take(2, *versions) == [", wor", "ld"]
        await late.subscribe("answer", rewind=sdk.SubscriptionRewind.count_messages(1))
        assert await late.take(1, "chat", *versions) == ["Hello, world"]
        read(backend.append_message("answer", serial, "!"))
        assert await fragments.take(1, *versions) == ["!"] == await late.take(1, *versions)
        read(backend.update_message("answer", serial, backend_sdk.MessageMutation(data="Goodbye", description="rephrased")))
        read(backend.delete_message("answer", serial, backend_sdk.MessageMutation(clear_fields=["data"])))
        assert await late.take(2, *versions) == ["Goodbye", None]


async def test_history_through_the_proxy(server, backend):
    publish(backend, "paged", *range(1, 8))
    async with Reader(server) as reader:
        channel = await reader.subscribe("paged")
        assert channel.attach_serial == 7
        publish(backend, "paged", 8, 9)
        page = await channel.history(sdk.ChannelHistoryParams(limit=3, direction="oldest_first", start_serial=2))
        seen = list(page.items)
        while page.has_next():
            page = await page.next()
            seen += page.items
        assert [i["serial"] for i in seen] == [2, 3, 4, 5, 6, 7, 8, 9]
        await channel.create_versioned_message("said", "one")
        ack = await channel.append_versioned_message("10", " and two")
        assert (ack.action, ack.history_serial, ack.delivery_serial) == ("append", 10, 11)


def test_http_history(backend):
    publish(backend, "http-paged", *range(1, 26))
    seen, cursor = [], None
    while True:
        page = read(backend.get_channel_history("http-paged", backend_sdk.HistoryParams(limit=10, cursor=cursor)))
        seen += page["items"]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        if cursor is None:
            break
        publish(backend, "http-paged", 99)  # does not disturb the pages that were begun
    assert [i["serial"] for i in seen] == list(range(25, 0, -1))
    assert json.loads(seen[0]["message"]["data"]) == {"n": 25} and seen[0]["operation_kind"] == "append"
    page = read(backend.get_channel_history("http-paged", backend_sdk.HistoryParams(direction="oldest_first", start_serial=3, end_serial=4)))
    assert [i["serial"] for i in page["items"]] == [3, 4] and page["continuity"]["complete"]
    forged = backend.get_channel_history("http-paged", backend_sdk.HistoryParams(cursor="AAAA"))
    assert forged.status_code == 400


def test_http_state_purge_reset(backend):
    publish(backend, "http-cut", *range(1, 11))
    stream = read(backend.get_channel_history_state("http-cut"))["stream"]
    assert stream["next_serial"] == 11 and stream["retained"]["retained_messages"] == 10
    purged = read(backend.purge_channel_history("http-cut", "before_serial", "a test", "me", before_serial=4))
    assert purged["purged_messages"] == 3 and purged["stream"]["stream_id"] == stream["stream_id"]
    done = read(backend.reset_channel_history("http-cut", "a test", "me"))
    assert done["previous_stream_id"] == stream["stream_id"] != done["new_stream_id"] and done["purged_messages"] == 7
    assert read(backend.get_channel_history("http-cut"))["items"] == []


def test_http_versions(backend):
    told = read(backend.trigger("http-chat", "chat", "a", backend_sdk.TriggerOptions(info="position")))
    serial = told["channels"]["http-chat"]["message_serial"]
    for text in ("b", "c"):
        read(backend.append_message("http-chat", serial, text))
    ack = read(backend.update_message("http-chat", serial, {"data": "z", "op_id": "op-1", "client_id": "anna", "description": "all anew"}))
    assert (ack["status"], ack["accepted"], ack["message_serial"], ack["version_serial"]) == ("applied", True, serial, "4")
    again = read(backend.update_message("http-chat", serial, {"data": "z", "op_id": "op-1", "client_id": "anna", "description": "all anew"}))
    assert again["status"] == "duplicate" and again["version_serial"] == "4"
    item = read(backend.get_message("http-chat", serial))["item"]
    assert (item["data"], item["action"], item["name"]) == ("z", "update", "chat")
    assert (item["version"]["client_id"], item["version"]["description"]) == ("anna", "all anew")
    versions, cursor = [], None
    while True:
        page = read(backend.get_message_versions("http-chat", serial, backend_sdk.MessageVersionsParams(limit=3, direction="oldest_first", cursor=cursor)))
        versions += page["items"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert [(v["action"], v["data"]) for v in versions] == [("create", "a"), ("append", "b"), ("append", "c"), ("update", "z")]
    read(backend.delete_message("http-chat", serial))
    assert backend.append_message("http-chat", serial, "late").status_code == 409
    assert backend.get_message("http-chat", "999").status_code == 404

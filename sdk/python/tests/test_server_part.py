"""The server part: against a server that fails by script, and against the real one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from continuo_realtime import Client, ContinuoError
from continuo_realtime.server import ALL_RIGHTS, Op, Server
from harness import Server as RealServer

Answer = tuple[int, str] | tuple[int, str, dict[str, str]]


class Scripted:
    """An HTTP server that gives the next answer each time; status 0 hangs up without one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, Any]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.asked.append((self.command, self.path, json.loads(body) if body else None))
                status, text, *headers = script.answers.pop(0)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    one = Scripted()
    yield one
    one.end()


class Sleeper:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def backend(scripted: Scripted, sleep: Sleeper, **options: Any) -> Server:
    return Server(scripted.url, "app", "key", "secret", random=lambda: 0.5, sleep=sleep, **options)


UNKNOWN = '{"error":"it may have been written","code":"outcome_unknown","status":503}'
POSITION = '{"channels":{"a b":{"stream_id":"A","serial":1,"entry_id":"1-1","message_serial":"1","version":1}}}'


async def test_an_unknown_outcome_is_settled_with_the_same_key(scripted: Scripted) -> None:
    sleep = Sleeper()
    scripted.answers = [
        (0, ""),
        (503, UNKNOWN),
        (429, '{"error":"Too Many Requests"}', {"Retry-After": "7"}),
        (200, "<html>a proxy</html>"),
        (200, POSITION),
    ]
    published = await backend(scripted, sleep).publish("a b", "e", {"n": 1}, key="k", socket_id="1.2")
    assert published["serial"] == 1
    assert len({json.dumps(body) for _, _, body in scripted.asked}) == 1
    body = scripted.asked[0][2]
    assert len(body.pop("idempotency_key")) == 32
    assert body == {
        "name": "e", "channel": "a b", "data": {"n": 1}, "key": "k", "socket_id": "1.2", "info": "position",
    }  # fmt: skip
    assert sleep.slept == [0.1, 0.2, 7, 0.8]


async def test_it_is_given_up_after_some_tries(scripted: Scripted) -> None:
    sleep = Sleeper()
    scripted.answers = [(500, "<html>")] * 3
    with pytest.raises(ContinuoError) as failed:
        await backend(scripted, sleep, tries=3).publish("a", "e", "x")
    assert (failed.value.code, failed.value.retryable, failed.value.status) == ("outcome_unknown", True, 500)
    scripted.answers = [(0, "")]
    with pytest.raises(ContinuoError) as lost:
        await backend(scripted, sleep, tries=1).publish("a", "e", "x")
    assert (lost.value.code, lost.value.retryable, lost.value.status) == ("outcome_unknown", True, None)


async def test_an_unknown_outcome_stays_unknown(scripted: Scripted) -> None:
    busy = (429, '{"error":"slow down","code":"rate_limited"}')
    for code, last in ("outcome_unknown", busy), ("conflict", (409, '{"error":"lost","code":"conflict"}')):
        scripted.answers = [(0, ""), busy, last]
        with pytest.raises(ContinuoError) as failed:
            await backend(scripted, Sleeper(), tries=3).mutate("a", "7", "delete")
        assert failed.value.code == code


async def test_what_is_refused_is_not_repeated(scripted: Scripted) -> None:
    scripted.answers = [(409, '{"error":"lost","code":"conflict","status":409,"current_version":4}')]
    with pytest.raises(ContinuoError) as failed:
        await backend(scripted, Sleeper()).mutate("a", "1", "update", "x", if_version=2)
    assert (failed.value.code, failed.value.version, failed.value.retryable) == ("conflict", 4, False)
    scripted.answers = [(404, "<html>"), (302, "", {"Location": "http://127.0.0.1:1/"})]
    for code in ("http_404", "http_302"):
        with pytest.raises(ContinuoError, match=code):
            await backend(scripted, Sleeper()).history("a")


async def test_a_batch_has_a_key_for_each_message(scripted: Scripted) -> None:
    scripted.answers = [(0, ""), (200, '{"batch":[{},{}]}')]
    await backend(scripted, Sleeper()).publish_batch(
        [{"room": "a", "event": "e", "data": "1"}, {"room": "b", "event": "e", "data": "2", "socket_id": "1.2"}]
    )
    first, second = (body["batch"] for _, _, body in scripted.asked)
    assert first == second
    assert first[0].pop("idempotency_key") != first[1].pop("idempotency_key")
    assert first == [
        {"name": "e", "channel": "a", "data": "1", "info": "position"},
        {"name": "e", "channel": "b", "data": "2", "info": "position", "socket_id": "1.2"},
    ]


async def test_what_is_ephemeral_has_neither_key_nor_second_try(scripted: Scripted) -> None:
    scripted.answers = [(0, ""), (503, UNKNOWN), (200, '{"channels":{"a":{}}}')]
    server = backend(scripted, Sleeper())
    with pytest.raises(ContinuoError, match="outcome_unknown"):
        await server.publish("a", "e", "x", ephemeral=True, idempotency_key="k")
    with pytest.raises(ContinuoError, match="outcome_unknown"):
        await server.publish_batch(
            [{"room": "a", "event": "e", "data": "1"}, {"room": "a", "event": "e", "data": "2", "ephemeral": True}]
        )
    assert not await server.publish("a", "e", "x", ephemeral=True)
    one, two, _ = (body for _, _, body in scripted.asked)
    assert one == {"name": "e", "channel": "a", "data": "x", "info": "position", "ephemeral": True}
    assert ["idempotency_key" in each for each in two["batch"]] == [True, False]


async def test_a_change_says_what_was_given(scripted: Scripted) -> None:
    scripted.answers = [(200, "{}")] * 3
    server = backend(scripted, Sleeper())
    await server.mutate("a", "7/8", "append", "more", op_id="o")
    await server.mutate("a", "7", "delete", if_version=3, op_id="o")
    await server.mutate("a", "7", "update", {"n": 1})
    paths = [urlsplit(path).path.removeprefix("/apps/app/channels/a/messages/") for _, path, _ in scripted.asked]
    assert paths == ["7%2F8/append", "7/delete", "7/update"]
    first, second, third = (body for _, _, body in scripted.asked)
    assert first == {"data": "more", "op_id": "o"}
    assert second == {"if_version": 3, "op_id": "o"}
    assert len(third["op_id"]) == 32


async def test_an_unknown_op_is_not_sent(scripted: Scripted) -> None:
    for op in ("replace", "", "update/../delete", None):
        with pytest.raises(ValueError, match="none of update, append, delete"):
            await backend(scripted, Sleeper()).mutate("a", "1", cast(Op, op), "x")
    assert scripted.asked == []


async def test_calls_are_signed(scripted: Scripted) -> None:
    scripted.answers = [(200, '{"items":[]}'), (200, "{}")]
    server = backend(scripted, Sleeper())
    await server.history("a/b", limit=2, cursor="x y&z")
    await server.delete_key("a", "k/1")
    for method, path, _ in scripted.asked:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        signature = query.pop("auth_signature")
        text = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
        wanted = hmac.new(b"secret", f"{method}\n{parts.path}\n{text}".encode(), hashlib.sha256).hexdigest()
        assert signature == wanted
    assert scripted.asked[0][1].startswith("/apps/app/channels/a%2Fb/history?limit=2&cursor=x+y%26z&data=value&")
    assert scripted.asked[1][1].startswith("/apps/app/channels/a/keys/k%2F1?op_id=")


RANGE: Any = {"start_serial": 0, "end_serial": 9, "start_time_ms": 1, "end_time_ms": 2}
PAGE: Any = {"limit": 5, "direction": "oldest_first", "cursor": "c", **RANGE}


@pytest.mark.parametrize(
    ("method", "path", "options", "always"),
    [
        ("history", "history", PAGE, {"data": "value"}),
        ("snapshot", "snapshot", {"limit": 5, "cursor": "c", "prefix": "p", "at_serial": 0}, {"data": "value"}),
        ("snapshot", "snapshot", {"at_time_ms": 1}, {"data": "value"}),
        ("presence_at", "presence/history/snapshot", {"at_serial": 0}, {}),
        ("presence_at", "presence/history/snapshot", {"at_time_ms": 1}, {}),
        ("presence_history", "presence/history", PAGE, {}),
    ],
)
async def test_options_are_sent_as_they_are_given(
    scripted: Scripted, method: str, path: str, options: dict[str, Any], always: dict[str, str]
) -> None:
    scripted.answers = [(200, '{"items":[1],"has_more":true,"next_cursor":"c","later":2}'), (200, "{}")]
    ask = getattr(backend(scripted, Sleeper()), method)
    found = await ask("a", **options)
    assert found == {"items": [1], "has_more": True, "next_cursor": "c", "later": 2}  # one page, and all that is in it
    await ask("a")
    given = {name: str(value) for name, value in options.items()}
    for (_, target, _), wanted in zip(scripted.asked, (given | always, always), strict=True):
        parts = urlsplit(target)
        assert parts.path == f"/apps/app/channels/a/{path}"
        sent = dict(parse_qsl(parts.query))
        assert {name: value for name, value in sent.items() if not name.startswith("auth_")} == wanted


async def test_keys_are_deleted_under_a_condition(scripted: Scripted) -> None:
    scripted.answers = [(200, "{}")]
    await backend(scripted, Sleeper()).delete_key("a", "k", if_version=2, op_id="o")
    query = dict(parse_qsl(urlsplit(scripted.asked[0][1]).query))
    assert (query["if_version"], query["op_id"]) == ("2", "o")


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.5)
    server = Server("http://there", "app", "key", "secret")
    token = server.mint_token("ann", ttl=60, rooms=[{"pattern": "a-*", "can": ["join"]}], info={"n": "Ann"})
    head, claims, signature = token.split(".")

    def decode(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    assert json.loads(decode(head)) == {"alg": "HS256", "typ": "JWT", "kid": "key"}
    assert json.loads(decode(claims)) == {
        "app": "app", "sub": "ann", "iat": 1000, "exp": 1060,
        "rooms": [{"pattern": "a-*", "can": ["join"]}], "info": {"n": "Ann"},
    }  # fmt: skip
    assert decode(signature) == hmac.digest(b"secret", f"{head}.{claims}".encode(), hashlib.sha256)
    assert "secret" not in repr(server._credentials)


CONFIG = [
    "apps:",
    "  - id: app",
    "    keys: [{key: key, secret: secret-of-the-server-part}]",
    '    channels: [{pattern: "*", mutable: true}]',
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    one = RealServer(tmp_path_factory.mktemp("real"), CONFIG).start()
    yield one
    one.end()


@pytest.fixture
def server(real: RealServer) -> Server:
    return Server(real.url, "app", "key", "secret-of-the-server-part")


async def test_messages_of_the_real_server(real: RealServer, server: Server) -> None:
    room = "a@room;with:,#"
    first = await server.publish(room, "chat.message", "hello")
    again = await server.publish(room, "e", "x", idempotency_key="once")
    assert set(first) == {"stream_id", "serial", "entry_id", "message_serial", "version"}
    assert await server.publish(room, "e", "x", idempotency_key="once") == again
    assert not await server.publish(room, "typing", "x", ephemeral=True)
    longer = await server.mutate(room, first["message_serial"], "append", "!", op_id="o")
    assert (longer["version"], longer["status"], longer["accepted"]) == (2, "applied", True)
    repeated = await server.mutate(room, first["message_serial"], "append", "!", op_id="o")
    assert repeated == {**longer, "status": "duplicate"}
    assert (await server.mutate(room, again["message_serial"], "update", {"n": 1}))["version"] == 2
    with pytest.raises(ContinuoError, match="conflict") as lost:
        await server.mutate(room, again["message_serial"], "delete", if_version=1)
    assert lost.value.version == 2
    snapshot = await server.snapshot(room)
    assert [item["data"] for item in snapshot["items"]] == ["hello!", {"n": 1}]
    batch = await server.publish_batch([{"room": "b", "event": "e", "data": str(n)} for n in range(3)])
    assert [one["serial"] for one in batch] == [1, 2, 3]
    page = await server.history("b", limit=2, direction="oldest_first")
    assert [item["message"]["data"] for item in page["items"]] == ["0", "1"]
    rest = await server.history("b", limit=2, direction="oldest_first", cursor=page["next_cursor"])
    assert [item["serial"] for item in rest["items"]] == [3]
    assert not rest["has_more"]
    assert [item["serial"] for item in (await server.history("b", start_serial=2, end_serial=2))["items"]] == [2]
    with pytest.raises(ContinuoError, match="auth_failed"):
        await Server(real.url, "app", "key", "wrong").history("b")


async def test_keys_of_the_real_server(server: Server) -> None:
    for key in ("c:BTC", "c:ETH", "s:X"):
        assert (await server.put("prices", key, "price", {"p": 1}))["version"] == 1
    newer = await server.put("prices", "c:BTC", "price", {"p": 2}, idempotency_key="once")
    assert newer["version"] == 2
    page = await server.snapshot("prices", prefix="c:", limit=1)
    assert (page["has_more"], len(page["items"])) == (True, 1)
    rest = await server.snapshot("prices", prefix="c:", limit=1, cursor=page["next_cursor"])
    found = {item["key"]: item["data"] for item in page["items"] + rest["items"]}
    assert found == {"c:BTC": {"p": 2}, "c:ETH": {"p": 1}}
    with pytest.raises(ContinuoError, match="conflict"):
        await server.delete_key("prices", "c:BTC", if_version=1)
    gone = await server.delete_key("prices", "c:BTC", if_version=2, op_id="o")
    assert (gone["action"], gone["status"], gone["version"]) == ("delete", "applied", 3)
    assert (await server.delete_key("prices", "c:BTC", if_version=2, op_id="o"))["status"] == "duplicate"
    assert [item["key"] for item in (await server.snapshot("prices"))["items"]] == ["c:ETH", "s:X"]
    assert len((await server.snapshot("prices", at_serial=newer["serial"]))["items"]) == 3


async def test_presence_of_the_real_server(real: RealServer, server: Server) -> None:
    room = "presence-a"
    assert await server.presence(room) == []
    token = server.mint_token("ann", rooms=[{"pattern": "*", "can": ALL_RIGHTS}], info={"n": "Ann"})
    async with Client(real.url, token=token) as client:
        await client.room(room).join(presence="enter")
        assert await server.presence(room) == ["ann"]
        [member] = (await server.presence_at(room))["members"]
        assert (member["user_id"], member["last_event_serial"]) == ("ann", 1)
        before = await server.presence_at(room, at_serial=0)
        assert (before["members"], before["snapshot_serial"], before["member_count"]) == ([], None, 0)
        page = await server.presence_history(room, direction="oldest_first", limit=1, start_serial=1)
        assert [(item["user_id"], item["serial"]) for item in page["items"]] == [("ann", 1)]
        assert page["items"][0]["presence_event"]["user_info"] == {"n": "Ann"}
        assert page["bounds"]["start_serial"] == 1
        assert (await server.presence_history(room, start_serial=2))["items"] == []


async def test_below_a_path_the_signature_is_that_of_the_path_that_the_server_sees(scripted: Scripted) -> None:
    scripted.answers = [(200, POSITION)]
    server = Server(f"{scripted.url}/base/", "app", "key", "secret")
    await server.publish("a b", "e", "x")
    method, path, _ = scripted.asked[0]
    parts = urlsplit(path)
    assert parts.path == "/base/apps/app/events"
    query = dict(parse_qsl(parts.query))
    signature = query.pop("auth_signature")
    signed = f"{method}\n/apps/app/events\n" + "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    assert signature == hmac.new(b"secret", signed.encode(), hashlib.sha256).hexdigest()

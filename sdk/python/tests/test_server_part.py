"""The server part: against a server that fails by script, and against the real one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from continuo_realtime import ContinuoError
from continuo_realtime.server import Server
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
    published = await backend(scripted, sleep).publish("a b", {"n": 1}, key="k")
    assert published["serial"] == 1
    assert len({json.dumps(body) for _, _, body in scripted.asked}) == 1
    body = scripted.asked[0][2]
    assert (body["channel"], body["data"], body["key"], len(body["idempotency_key"])) == ("a b", {"n": 1}, "k", 32)
    assert sleep.slept == [0.1, 0.2, 7, 0.8]


async def test_it_is_given_up_after_some_tries(scripted: Scripted) -> None:
    sleep = Sleeper()
    scripted.answers = [(500, "<html>")] * 3
    with pytest.raises(ContinuoError) as failed:
        await backend(scripted, sleep, tries=3).publish("a", "x")
    assert (failed.value.code, failed.value.retryable, failed.value.status) == ("outcome_unknown", True, 500)
    scripted.answers = [(0, "")]
    with pytest.raises(ContinuoError) as lost:
        await backend(scripted, sleep, tries=1).publish("a", "x")
    assert (lost.value.code, lost.value.retryable, lost.value.status) == ("outcome_unknown", True, None)


async def test_what_is_refused_is_not_repeated(scripted: Scripted) -> None:
    scripted.answers = [(409, '{"error":"lost","code":"conflict","status":409,"current_version":4}')]
    with pytest.raises(ContinuoError) as failed:
        await backend(scripted, Sleeper()).update("a", "1", "x", if_version=2)
    assert (failed.value.code, failed.value.version, failed.value.retryable) == ("conflict", 4, False)
    scripted.answers = [(404, "<html>"), (302, "", {"Location": "http://127.0.0.1:1/"})]
    for code in ("http_404", "http_302"):
        with pytest.raises(ContinuoError, match=code):
            await backend(scripted, Sleeper()).history("a")


async def test_a_batch_has_a_key_for_each_message(scripted: Scripted) -> None:
    scripted.answers = [(0, ""), (200, '{"batch":[{},{}]}')]
    await backend(scripted, Sleeper()).publish_batch(
        [{"room": "a", "data": "1"}, {"room": "b", "data": "2", "ephemeral": True}]
    )
    first, second = (body["batch"] for _, _, body in scripted.asked)
    assert first == second
    assert first[0]["idempotency_key"] != first[1]["idempotency_key"]


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


async def test_the_pages_of_a_snapshot(scripted: Scripted) -> None:
    scripted.answers = [
        (200, '{"serial":9,"items":[1],"has_more":true,"next_cursor":"c"}'),
        (200, '{"serial":9,"items":[2],"has_more":false,"next_cursor":null}'),
    ]
    found = await backend(scripted, Sleeper()).snapshot("a", at_serial=9)
    assert found == {"serial": 9, "items": [1, 2], "has_more": False, "next_cursor": None}


def test_tokens() -> None:
    server = Server("http://there", "app", "key", "secret")
    token = server.mint_token("ann", ttl=60, rooms=[{"pattern": "a-*", "can": ["join"]}], info={"n": "Ann"}, now=1000.5)
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


async def test_against_the_real_server(tmp_path: Path) -> None:
    real = RealServer(tmp_path, CONFIG).start()
    try:
        server = Server(real.url, "app", "key", "secret-of-the-server-part")
        first = await server.publish("a@room;with:,#", "hello")
        again = await server.publish("a@room;with:,#", "x", idempotency_key="once")
        assert await server.publish("a@room;with:,#", "x", idempotency_key="once") == again
        assert (await server.append("a@room;with:,#", first["message_serial"], "!"))["version"] == 2
        assert (await server.update("a@room;with:,#", again["message_serial"], {"n": 1}))["version"] == 2
        with pytest.raises(ContinuoError, match="conflict") as lost:
            await server.delete("a@room;with:,#", again["message_serial"], if_version=1)
        assert lost.value.version == 2
        snapshot = await server.snapshot("a@room;with:,#")
        assert [item["data"] for item in snapshot["items"]] == ["hello!", {"n": 1}]
        put = await server.put("prices", "BTC", {"p": 1}, event="price")
        assert put["version"] == 1
        assert (await server.delete_key("prices", "BTC"))["accepted"]
        assert (await server.snapshot("prices"))["items"] == []
        assert (await server.presence("presence-a"))["users"] == []
        assert (await server.presence_history("presence-a"))["items"] == []
        batch = await server.publish_batch([{"room": "b", "data": str(n)} for n in range(3)])
        assert [one["serial"] for one in batch] == [1, 2, 3]
        page = await server.history("b", limit=2, direction="oldest_first")
        assert [item["message"]["data"] for item in page["items"]] == ["0", "1"]
        with pytest.raises(ContinuoError, match="auth_failed"):
            await Server(real.url, "app", "key", "wrong").history("b")
    finally:
        real.end()


async def test_below_a_path_the_signature_is_that_of_the_path_that_the_server_sees(scripted: Scripted) -> None:
    scripted.answers = [(200, POSITION)]
    server = Server(f"{scripted.url}/base/", "app", "key", "secret")
    await server.publish("a b", "x")
    method, path, _ = scripted.asked[0]
    parts = urlsplit(path)
    assert parts.path == "/base/apps/app/events"
    query = dict(parse_qsl(parts.query))
    signature = query.pop("auth_signature")
    signed = f"{method}\n/apps/app/events\n" + "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    assert signature == hmac.new(b"secret", signed.encode(), hashlib.sha256).hexdigest()

"""What the tests run against: the real server, and the proxy that makes connections fail."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[3]
BINARY = os.environ.get("CONTINUO_BIN") or str(ROOT / "bin" / "continuo")
PROXY = os.environ.get("CONTINUO_PROXY_BIN") or str(ROOT / "bin" / "continuo-proxy")
VECTORS = ROOT / "spec" / "vectors" / "client"
PATIENCE = 60.0  # seconds; only a test that hangs needs them
T = TypeVar("T")


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def matches(expected: Any, found: Any) -> bool:
    """An object matches if its members do (null: absent or null), a list element by element, anything else if it is equal."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(matches(value, found.get(name)) for name, value in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(matches, expected, found))
    return bool(expected == found and isinstance(expected, bool) == isinstance(found, bool))


class Server:
    """`continuo serve` in a folder of its own; after the first start always on the same port."""

    def __init__(self, folder: Path, config: Iterable[str]) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        (folder / "continuo.yaml").write_text("\n".join(config) + "\n")

    def start(self) -> Server:
        files = ["--config", str(self._folder / "continuo.yaml"), "--data", str(self._folder / "data")]
        with open(self._folder / "stderr.log", "ab") as errors:
            self._process = subprocess.Popen(
                [BINARY, "serve", *files, "--listen", f"127.0.0.1:{self._port}"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"listening\s+http://[^:]+:(\d+)", line):
                self._port = int(found.group(1))
                threading.Thread(target=self._process.stdout.read, daemon=True).start()
                return self
        raise RuntimeError((self._folder / "stderr.log").read_text())

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


class Proxy:
    """`continuo-proxy` before a server."""

    def __init__(self, to: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [PROXY, "--to", to, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        addresses = json.loads(self._process.stdout.readline())
        self.url = f"http://{addresses['listen']}"
        self._control = addresses["control"]

    async def post(self, path: str) -> None:
        request = urllib.request.Request(self._control + path, method="POST")
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=PATIENCE).close())

    def end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Watch:
    """Something to wait for: `changed` is called whenever anything may be different."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self, *_: Any) -> None:
        self._changed.set()

    async def until(self, look: Callable[[], T | None], what: Any = "it") -> T:
        """What `look` finds, as soon as it finds something that is not None or False."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := look()) is None or found is False:
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"it did not happen: {what}") from None


async def within(work: Awaitable[T]) -> T:
    """Something that has to end."""
    return await asyncio.wait_for(work, PATIENCE)

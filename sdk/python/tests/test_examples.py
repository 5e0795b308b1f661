"""The examples do what their first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import PATIENCE, Server

SDK = Path(__file__).parents[1]
CONFIG = [
    "mode: development",
    "apps:",
    "  - id: app-id",
    "    keys: [{key: app-key, secret: app-secret-of-the-examples}]",
    '    channels: [{pattern: "*", mutable: true}]',
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("examples"), CONFIG).start()
    yield one
    one.end()


def run(folder: Path, name: str, *words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(SDK / "examples" / name), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SDK / "src")},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chat(server: Server, tmp_path: Path) -> None:
    said = run(tmp_path, "chat.py", server.url, "lobby", stdin="hello\nand again\n")
    assert "-- connected" in said
    assert "-- lobby: live" in said
    assert ": hello\n" in said
    again = run(tmp_path, "chat.py", server.url, "lobby", stdin="third\n")
    assert "-- lobby: resumed" in again
    assert ": hello\n" not in again


def test_backend(server: Server, tmp_path: Path) -> None:
    said = run(tmp_path, "backend.py", server.url, "app-id", "app-key", "app-secret-of-the-examples")
    assert "newest: ['line 2', 'line 1']" in said
    assert "prices: {'BTC': {'p': 61000}}" in said
    assert "token: ey" in said

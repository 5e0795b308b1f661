"""The Python example of the feed, against the real server: through a kill, nothing is missed or seen twice."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import BINARY, Server

EXAMPLE = Path(__file__).parents[2] / "examples" / "feed-table" / "feed_table.py"
CALLER = {"CONTINUO_APP_ID": "1234", "CONTINUO_APP_KEY": "app-key", "CONTINUO_APP_SECRET": "app-secret"}


@pytest.fixture
def own(tmp_path):
    server = Server(tmp_path).start()
    yield server
    server.kill()


def watch(server, state, seconds):
    return subprocess.Popen([sys.executable, EXAMPLE, "--url", server.url, "--state", state, "--plain", "--for", str(seconds)],
                            stdout=subprocess.PIPE, text=True)


def account(process):
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(out)


def rows(state):
    return json.loads(Path(state).read_text())["rows"]


def test_table_survives_kills_of_server_and_client(own, tmp_path):
    state, late = str(tmp_path / "table.json"), str(tmp_path / "late.json")
    first = watch(own, state, 60)
    wait_for(lambda: os.path.exists(state))  # it is connected, and keeps what it knows
    demo = subprocess.Popen([BINARY, "demo", "feed", "--url", own.url, "--rate", "400", "--events", "1600"],
                            env={**os.environ, **CALLER}, stdout=subprocess.DEVNULL)
    wait_for(lambda: json.loads(Path(state).read_text())["account"]["frames"] > 200)
    own.kill()
    own.start()
    wait_for(lambda: json.loads(Path(state).read_text())["account"]["frames"] > 600)
    first.kill()  # its file is the old one or the new one
    first.wait()
    assert demo.wait(timeout=60) == 0
    counted = account(watch(own, state, 3))
    assert counted["missed"] == counted["twice"] == counted["out_of_turn"] == 0
    assert counted["frames"] == 1600 and counted["snapshots"] == 3
    account(watch(own, late, 2))
    assert rows(late) == rows(state)


def wait_for(ready, seconds=30):
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, ValueError):
            pass
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)

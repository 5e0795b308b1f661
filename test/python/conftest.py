"""Runs the real server for the tests, on a free port and in a folder of its own."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

BINARY = os.path.abspath(os.environ.get("CONTINUO_BIN") or Path(__file__).parents[2] / "bin" / "continuo")


class Server:
    def __init__(self, folder: Path):
        self.folder = folder
        self.port = 0
        self.process = None

    def start(self) -> "Server":
        """Starts the server; after the first time on the same port, so that clients find it again."""
        self.process = subprocess.Popen(
            [BINARY, "serve", "--mode", "development", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder / "data"), "--drain", "1s"],
            stdout=subprocess.PIPE,
            stderr=open(self.folder / "stderr.log", "ab"),
            text=True,
            # Pusher's Python library takes app ids of digits alone.
            env={**os.environ, "CONTINUO_APP_ID": "1234", "CONTINUO_APP_KEY": "app-key", "CONTINUO_APP_SECRET": "app-secret"},
        )
        for line in self.process.stdout:
            if found := re.search(r"listening\s+http://([^:]+):(\d+)", line):
                self.port = int(found.group(2))
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return self
        raise RuntimeError((self.folder / "stderr.log").read_text())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("continuo")).start()
    yield one
    one.kill()

"""What is shipped to run Continuo with: the container file, the proxies, the unit, the dashboard."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import BINARY

DEPLOY = Path(__file__).parents[2] / "deploy"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_listening(process, port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "the proxy ended"
            assert time.monotonic() < deadline, "the proxy does not listen"


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request, server, tmp_path):
    """The example configuration of a proxy, with its two addresses replaced, in front of the server."""
    port = free_port()
    if request.param == "nginx":
        config, listen = DEPLOY / "nginx.conf", "127.0.0.1:8080"
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(tmp_path), "-c", str(tmp_path / "config"), "-g", "daemon off;"]
    else:
        config, listen = DEPLOY / "Caddyfile", "127.0.0.1:8081"
        command = [shutil.which("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(tmp_path / "config")]
    text = config.read_text()
    assert listen in text and "127.0.0.1:6001" in text
    (tmp_path / "config").write_text(text.replace(listen, f"127.0.0.1:{port}").replace("127.0.0.1:6001", f"127.0.0.1:{server.port}"))
    (tmp_path / "logs").mkdir()
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=(tmp_path / "stderr").open("w"),
                               env={"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/bin"})
    wait_until_listening(process, port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def test_behind_a_proxy(server, proxy):
    """WebSocket, publish and history work through the proxy, with a channel name that must not be decoded on the way."""
    channel = "news:a;b=c"
    app = ["--app", "1234", "--key", "app-key", "--secret", "app-secret", "--url", proxy]
    follow = subprocess.Popen([BINARY, "subscribe", channel, "--url", proxy, "--count", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in follow.stderr:
        if line.startswith("# subscribed"):
            break
    subprocess.run([BINARY, "publish", channel, "hello", '{"a":1}', *app], check=True, capture_output=True)
    assert follow.stdout.read().strip().endswith(f'{channel} hello {{"a":1}}')
    assert follow.wait(10) == 0
    request = urllib.request.Request(f"{proxy}/apps/1234/channels/news%3Aa%3Bb%3Dc/history",
                                     headers={"Authorization": "Bearer app-key:app-secret"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["items"][0]["message"]["data"] == '{"a":1}'


def test_dockerfile_is_clean():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_unit_is_hardened():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", DEPLOY / "continuo.service"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_of_the_shipped_files_exist(server):
    """The container's health check and both start commands are commands of the binary."""
    health = re.search(r"CMD \[(\"continuo\", \"health\".*)\]", (DEPLOY / "Dockerfile").read_text())
    arguments = [a if not a.startswith("http") else server.url for a in json.loads(f"[{health.group(1)}]")[1:]]
    assert subprocess.run([BINARY, *arguments], capture_output=True, text=True).stdout == "ready\n"
    unit = (DEPLOY / "continuo.service").read_text()
    start = re.search(r"^ExecStart=/usr/local/bin/continuo (.*)$", unit, re.M).group(1).split()
    known = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for flag in [a for a in start if a.startswith("--")]:
        assert flag in known


def test_dashboard_shows_metrics_that_exist(server):
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        exposed = answer.read().decode()
    names = set(re.findall(r"^# TYPE (\S+)", exposed, re.M))
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    used = set(re.findall(r"\b(continuo_[a-z_]+|process_[a-z_]+)\b", " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])))
    assert used
    missing = {u for u in used if u not in names and u.removesuffix("_bucket") not in names}
    assert not missing

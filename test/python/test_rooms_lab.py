"""The example that speaks the rooms protocol without a client library, against the real server in development mode."""

import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "rooms-lab"
sys.path.insert(0, str(EXAMPLE))

import rooms_lab  # noqa: E402


def test_transcript(server):
    lines = []
    rooms_lab.Lab(f"127.0.0.1:{server.port}", out=lines.append).run()
    assert lines == (EXAMPLE / "transcript.txt").read_text().splitlines()

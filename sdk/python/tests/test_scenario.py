"""The scenario of spec/vectors/client, against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Server, vectors
from scenario import Scene

SCENARIO = vectors("scenario.json")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("scenario"), SCENARIO["config"]).start()
    yield one
    one.end()


@pytest.mark.parametrize("scene", SCENARIO["scenes"], ids=lambda scene: scene["name"])
async def test_scene(server: Server, scene: Any) -> None:
    await Scene(server, SCENARIO["app"]).play(scene["steps"])

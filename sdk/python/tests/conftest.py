"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World()
    yield one
    await one.client.close(0)

"""States in words, short enough to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(state: Mapping[str, Any]) -> str:
    """The state of a client or of a room in words."""
    return str(state["state"])

"""States in words, short enough to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

"""States in words, short enough to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(state: Mapping[str, Any]) -> str:
    """The state of a client or of a room in words."""
    match state:
        case {"state": "connecting", "attempt": int(attempt)} if attempt > 1:
            return f"connecting, attempt {attempt}"
        case {"state": "waiting", "retry_in_ms": int(ms)}:
            return f"reconnecting in {-(-ms // 1000)} s"
        case {"state": "stopped", "reason": str(reason)}:
            return f"stopped: {_words(reason)}"
        case {"state": "resuming", "replaying": int(count)} if count > 0:
            return f"resuming, {count} to come"
        case {"state": "live", "resumed": True, "missed": int(missed)}:
            return f"resumed, {_missed(missed)}"
        case {"state": "snapshot", "reason": str(reason)}:
            return f"took a snapshot: {_words(reason)}"
        case {"state": "refused", "code": str(code), "message": str(message)}:
            return f"refused: {message or _words(code)}"
    return str(state["state"])


def _missed(count: int) -> str:
    if count == 0:
        return "nothing missed"
    return "1 missed message" if count == 1 else f"{count} missed messages"


def _words(name: str) -> str:
    return name.replace("_", " ")

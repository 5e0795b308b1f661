"""The one error type of the library."""

from __future__ import annotations

from typing import Any


class ContinuoError(Exception):
    """What a server answered, or what the library found: a code to decide by, and a message to read.

    `retryable` says that the same request may succeed later. `version` is the version that there is, where an `if_version`
    lost. `status` is the HTTP status, where there was one.
    """

    def __init__(
        self, code: str, message: str, retryable: bool = False, version: int | None = None, status: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.version = version
        self.status = status


def stopped(state: dict[str, Any]) -> ContinuoError:
    """Why nothing more can be had from a client in this state."""
    code = state.get("reason", "closed")
    return ContinuoError(code, f"the client is {state['state']}", status=state.get("code"))


def busy() -> ContinuoError:
    return ContinuoError("busy", "the room's events are taken by another handler or iterator")

"""The session: a pure machine. Inputs are what happened, effects are what to do; no socket, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import inputs
from ._core import Core
from ._requests import Requests
from ._rooms import Rooms
from .codec import Frame
from .effects import Dial, Effect, HangUp, State, WantToken
from .inputs import Input

PROTOCOL = 1
HELLO_MS = 10_000
STABLE_MS = 10_000
PONG_MS = 10_000
LONGER = 4  # the least exponent of "back off longer"
BASE_MS, LEAST_BASE_MS = 500, 100
MAX_MS = 30_000
HEARTBEAT_MS, LEAST_HEARTBEAT_MS = 25_000, 1_000

_STOP = {
    1000: "rejected",
    1002: "rejected",
    1003: "rejected",
    1007: "rejected",
    1008: "rejected",
    1009: "too_large",
    4413: "too_large",
    4403: "forbidden",
    403: "forbidden",
    4406: "protocol_mismatch",
    4409: "replaced",
}
_LONGER = frozenset((1013, 4301, 4302, 429, 503))
_TOKEN = frozenset((4401, 401))
RESTART = 4200


class Session:
    """Decides what a client does; `step` is its only verb. `buffer` is how many events of a room may wait to be handled."""

    def __init__(self, client: str, buffer: int = 1024) -> None:
        self._client = client
        self._core = Core()
        self._rooms = Rooms(self._core, buffer)
        self._requests = Requests(self._core, self._rooms)
        self._rooms.changed = self._requests.flush
        self._phase = "idle"  # idle token dialing greeting adopting connected waiting offline stopped closed
        self._failures = 0  # n of the back-off
        self._attempts = 0  # begun since the last stable connection
        self._restart_ms: int | None = None  # of server.reconnect
        self._restarted = False  # since the last stable connection
        self._token: str | None = None
        self._renewing = False  # the token that is waited for is for client.auth
        self._token_refused = False  # the token that is waited for, or that is tried, is in place of a refused one
        self._session: tuple[str | None, str | None] = (None, None)
        self._heartbeat_ms = HEARTBEAT_MS
        self._greeted_at: int | None = None  # when the connection that is there said its first hello
        self._heard_at = 0
        self._heard = False  # something was, since the ping
        self._pinging = False
        self._offline_now = False  # the platform has no network
        self._retry_at = 0
        self._code = 0
        self._do: dict[type, Callable[[Any], None]] = {
            inputs.Connect: self._connect,
            inputs.Token: self._got_token,
            inputs.TokenFailed: self._token_failed,
            inputs.Opened: self._opened,
            inputs.Read: self._read,
            inputs.Malformed: self._malformed,
            inputs.Refused: self._refused,
            inputs.Closed: self._closed,
            inputs.Timer: lambda _: self._core.fire(),
            inputs.Offline: self._offline,
            inputs.Online: self._online,
            inputs.Visible: lambda _: self._woken(),
            inputs.Join: self._rooms.join,
            inputs.Leave: self._rooms.leave,
            inputs.Request: self._request,
            inputs.Cancel: self._requests.cancel,
            inputs.Handled: self._rooms.handled,
            inputs.Snapshot: self._rooms.snapshot,
            inputs.SnapshotFailed: self._rooms.snapshot_failed,
            inputs.Close: self._close,
        }

    def step(self, now: int, event: Input, random: float = 0.5) -> list[Effect]:
        """What to do about something that happened at `now` (ms); `random` in [0, 1) is what a delay is drawn from."""
        self._core.begin(now, random)
        if self._phase != "closed":
            self._do[type(event)](event)
        elif isinstance(event, inputs.Request):
            self._requests.refuse(event)
        return self._core.end()

    # Connecting.

    def _connect(self, _: inputs.Connect) -> None:
        if self._phase in ("idle", "stopped"):
            self._begin_anew()
            self._try()
        elif self._phase in ("waiting", "offline"):
            self._core.forget("retry")
            self._try()

    def _begin_anew(self) -> None:
        self._failures, self._attempts = 0, 0
        self._restarted = self._token_refused = False

    def _try(self) -> None:
        self._phase = "token"
        self._attempts += 1
        self._state("connecting", attempt=self._attempts)
        self._down()
        self._core.emit(WantToken())

    def _got_token(self, event: inputs.Token) -> None:
        if self._phase == "token":
            if self._token_refused and event.token in (None, self._token):
                self._stop("unauthorized", self._code)
                return
            self._token = event.token
            self._phase = "dialing"
            self._core.emit(Dial(event.token))
            self._core.wake("hello", HELLO_MS, self._silent)
        elif self._phase == "connected" and self._renewing:
            self._renewing = False
            if event.token is not None:
                self._token = event.token
                self._core.ask("client.auth", token=event.token)

    def _token_failed(self, event: inputs.TokenFailed) -> None:
        if self._phase == "token" or self._renewing:
            self._core.warn(event.message)
        self._renewing = False
        if self._phase == "token":
            self._lost(0)

    def _opened(self, _: inputs.Opened) -> None:
        if self._phase == "dialing":
            self._phase = "greeting"

    def _hello(self, frame: Frame) -> None:
        if self._phase in ("dialing", "greeting"):
            spoken: int = frame["protocol_version"]
            if not frame.get("protocol_min", spoken) <= PROTOCOL <= frame.get("protocol_max", spoken):
                self._core.emit(HangUp(1000))
                self._stop("protocol_mismatch", 0)
                return
            self._greeted(frame)
        elif self._phase == "adopting":
            self._phase = "connected"
            self._session = (frame["session_id"], frame.get("session_secret"))
            more = {"user_id": frame["user_id"]} if "user_id" in frame else {}
            self._state("connected", session_id=frame["session_id"], **more)
            self._core.greeted = True
            self._requests.connected()

    def _greeted(self, frame: Frame) -> None:
        retry = frame.get("retry", {})
        self._core.base_ms = max(LEAST_BASE_MS, retry.get("base_ms") or BASE_MS)
        self._core.max_ms = max(self._core.base_ms, retry.get("max_ms") or MAX_MS)
        self._heartbeat_ms = max(LEAST_HEARTBEAT_MS, frame.get("heartbeat_ms") or HEARTBEAT_MS)
        self._phase = "adopting"
        self._core.forget("hello")
        self._greeted_at = self._heard_at = self._core.now
        self._core.wake("quiet", self._heartbeat_ms, self._quiet)
        session, secret = self._session
        client = self._client or None
        self._core.send(
            "client.hello", protocol_version=PROTOCOL, client=client, session_id=session, session_secret=secret
        )
        self._core.up = True
        self._rooms.connected()

    # What is read.

    def _read(self, event: inputs.Read) -> None:
        frame = event.frame
        kind: str = frame["kind"]
        if not self._core.up:
            if self._phase in ("dialing", "greeting") and kind in ("server.hello", "server.error"):
                self._other(kind, frame)
            return
        self._hear()
        if "correlation_id" in frame and self._requests.answer(frame):
            return
        if (room := frame.get("room_id")) is not None and self._rooms.wanted(room):
            self._rooms.frame(room, kind, frame)
        else:
            self._other(kind, frame)

    def _other(self, kind: str, frame: Frame) -> None:
        match kind:
            case "server.hello":
                self._hello(frame)
            case "server.reconnect":
                self._restart_ms = frame.get("after_ms", 0)
            case "server.token_expiring" if not self._renewing:
                self._renewing = True
                self._core.emit(WantToken())
            case "server.error":
                self._core.warn_of(frame)

    def _malformed(self, event: inputs.Malformed) -> None:
        if self._phase in ("greeting", "adopting", "connected"):
            self._hear()
            self._core.warn(event.message)

    def _hear(self) -> None:
        self._heard_at, self._heard = self._core.now, True

    def _quiet(self) -> None:
        """Looks at how long nothing was read."""
        rest = self._heard_at + self._heartbeat_ms - self._core.now
        if rest > 0:
            self._core.wake("quiet", rest, self._quiet)
        else:
            self._ping()

    def _ping(self) -> None:
        self._pinging = True
        self._heard = False
        self._core.send("client.ping")
        self._core.wake("quiet", PONG_MS, self._unanswered)

    def _unanswered(self) -> None:
        self._pinging = False
        if self._heard:
            self._quiet()
        else:
            self._silent()

    def _silent(self) -> None:
        self._core.emit(HangUp(4000))
        self._lost(0)

    # Losing the connection.

    def _refused(self, event: inputs.Refused) -> None:
        if self._phase in ("dialing", "greeting"):
            self._lost(event.status, event.retry_after_ms)

    def _closed(self, event: inputs.Closed) -> None:
        if self._phase in ("dialing", "greeting", "adopting", "connected"):
            self._lost(event.code)

    def _lost(self, code: int, at_least: int = 0) -> None:
        """The connection, or the attempt, has come to an end; its code says what next."""
        restart, self._restart_ms = self._restart_ms, None
        if self._greeted_at is not None and self._core.now - self._greeted_at >= STABLE_MS:
            self._begin_anew()
        self._greeted_at = None
        self._code = code
        if code in _STOP:
            self._stop(_STOP[code], code)
        elif code in _TOKEN and self._token_refused:
            self._stop("unauthorized", code)
        elif code in _TOKEN:
            self._token_refused = True
            self._try()
        elif code == RESTART and restart is not None and not self._restarted:
            self._restarted = True
            self._wait(restart)
        else:
            self._token_refused = False
            if code in _LONGER:
                self._failures = max(self._failures, LONGER)
            self._failures += 1
            self._wait(self._core.delay(self._failures - 1, at_least if code in _LONGER else 0))

    def _down(self) -> None:
        """There is no connection any more; said after the new state."""
        self._core.up = self._core.greeted = False
        self._core.forget("hello", "quiet")
        self._renewing = self._pinging = False
        self._rooms.lost()
        self._requests.lost()

    def _wait(self, delay: int) -> None:
        if self._offline_now:
            self._phase = "offline"
            self._state("offline")
        else:
            self._phase = "waiting"
            self._retry_at = self._core.now + delay
            self._state("waiting", retry_in_ms=delay, attempt=self._attempts + 1, code=self._code)
            self._core.wake("retry", delay, self._try)
        self._down()

    def _stop(self, reason: str, code: int) -> None:
        self._phase = "stopped"
        self._state("stopped", reason=reason, code=code)
        self._down()
        self._requests.fail_all()
        self._core.forget_all()

    # What the platform and the application say.

    def _offline(self, _: inputs.Offline) -> None:
        self._offline_now = True
        if self._phase == "waiting":
            self._core.forget("retry")
            self._phase = "offline"
            self._state("offline")

    def _online(self, _: inputs.Online) -> None:
        self._offline_now = False
        if self._phase == "offline":
            self._wait(self._core.delay(0))
        else:
            self._woken()

    def _woken(self) -> None:
        if self._phase == "waiting":
            delay = self._core.delay(0)
            if self._core.now + delay < self._retry_at:
                self._wait(delay)
        elif self._phase == "connected" and not self._pinging:
            self._ping()

    def _request(self, event: inputs.Request) -> None:
        if self._phase == "stopped":
            self._requests.refuse(event)
        else:
            self._requests.add(event)

    def _close(self, _: inputs.Close) -> None:
        if self._phase in ("dialing", "greeting", "adopting", "connected"):
            self._core.emit(HangUp(1000))
        self._phase = "closed"
        self._state("closed")
        self._requests.fail_all()
        self._core.forget_all()

    def _state(self, state: str, **more: object) -> None:
        self._core.emit(State({"state": state, **more}))

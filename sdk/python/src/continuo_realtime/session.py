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
        self._dials = 0  # since the last stable connection
        self._restart_ms: int | None = None  # of server.reconnect
        self._token: str | None = None
        self._renewing = False  # the token that is waited for is for client.auth
        self._token_refused = False  # the token that is waited for, or that is tried, is in place of a refused one
        self._session: tuple[str, str] | None = None
        self._heartbeat_ms = 25_000
        self._greeted_at: int | None = None  # when the connection that is there said its first hello
        self._heard_at = 0
        self._pinged_at = 0
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
            inputs.Online: self._woken,
            inputs.Visible: self._woken,
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
        self._do[type(event)](event)
        return self._core.end()

    # Connecting.

    def _connect(self, _: inputs.Connect) -> None:
        if self._phase in ("idle", "stopped", "closed"):
            self._failures, self._dials, self._token_refused, self._restart_ms = 0, 0, False, None
            self._try()

    def _try(self) -> None:
        self._phase = "token"
        self._state("connecting", attempt=self._dials + 1)
        self._down()
        self._core.emit(WantToken())

    def _got_token(self, event: inputs.Token) -> None:
        if self._phase == "token":
            if self._token_refused and event.token in (None, self._token):
                self._stop("unauthorized", self._code)
                return
            self._token = event.token
            self._phase = "dialing"
            self._dials += 1
            self._core.emit(Dial(event.token))
            self._core.wake("hello", HELLO_MS, self._silent)
        elif self._phase == "connected" and self._renewing:
            self._renewing = False
            if event.token is not None:
                self._token = event.token
                self._core.send("client.auth", token=event.token)

    def _token_failed(self, event: inputs.TokenFailed) -> None:
        self._core.warn(event.message)
        self._renewing = False
        if self._phase == "token":
            self._lost(0)

    def _opened(self, _: inputs.Opened) -> None:
        if self._phase == "dialing":
            self._phase = "greeting"

    def _hello(self, frame: Frame) -> None:
        if self._phase == "greeting":
            if not frame.get("protocol_min", PROTOCOL) <= PROTOCOL <= frame.get("protocol_max", PROTOCOL):
                self._core.emit(HangUp(1000))
                self._stop("protocol_mismatch", 0)
                return
            self._greeted(frame)
        elif self._phase == "adopting":
            self._phase = "connected"
            self._token_refused = False
            session, user = frame.get("session_id", ""), frame.get("user_id", "")
            self._session = (session, frame.get("session_secret", ""))
            self._state("connected", session_id=session, user_id=user)

    def _greeted(self, frame: Frame) -> None:
        retry = frame.get("retry", {})
        self._core.base_ms = max(0, retry.get("base_ms", self._core.base_ms))
        self._core.max_ms = max(0, retry.get("max_ms", self._core.max_ms))
        if (heartbeat := frame.get("heartbeat_ms", 0)) > 0:
            self._heartbeat_ms = heartbeat
        self._phase = "adopting"
        self._core.forget("hello")
        self._greeted_at = self._heard_at = self._core.now
        self._core.wake("quiet", self._heartbeat_ms, self._quiet)
        session, secret = self._session or (None, None)
        self._core.send(
            "client.hello",
            protocol_version=PROTOCOL,
            client=self._client,
            session_id=session,
            session_secret=secret,
        )
        self._core.up = True
        self._rooms.connected()
        self._requests.flush()

    # What is read.

    def _read(self, event: inputs.Read) -> None:
        frame = event.frame
        kind: str = frame["kind"]
        if not self._core.up:
            if self._phase == "greeting" and kind == "server.hello":
                self._hello(frame)
            return
        self._heard_at = self._core.now
        if "correlation_id" in frame and self._requests.answer(frame):
            return
        if (room := frame.get("room_id")) is not None:
            self._rooms.frame(room, kind, frame)
        else:
            self._other(kind, frame)

    def _other(self, kind: str, frame: Frame) -> None:
        match kind:
            case "server.hello":
                self._hello(frame)
            case "server.reconnect":
                self._restart_ms = frame.get("after_ms", 0)
            case "server.token_expiring":
                self._renewing = True
                self._core.emit(WantToken())
            case "server.error":
                self._core.warn(f"{frame['code']}: {frame.get('message', '')}")

    def _malformed(self, event: inputs.Malformed) -> None:
        if self._phase in ("greeting", "adopting", "connected"):
            self._heard_at = self._core.now
            self._core.warn(event.message)

    def _quiet(self) -> None:
        """Looks at how long nothing was read."""
        rest = self._heard_at + self._heartbeat_ms - self._core.now
        if rest > 0:
            self._core.wake("quiet", rest, self._quiet)
        else:
            self._ping()

    def _ping(self) -> None:
        self._pinged_at = self._core.now
        self._core.send("client.ping")
        self._core.wake("quiet", PONG_MS, self._unanswered)

    def _unanswered(self) -> None:
        if self._heard_at > self._pinged_at:
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
            self._failures, self._dials = 0, 0
        self._greeted_at = None
        self._code = code
        if code in _STOP:
            self._stop(_STOP[code], code)
        elif code in _TOKEN and self._token_refused:
            self._stop("unauthorized", code)
        elif code in _TOKEN:
            self._token_refused = True
            self._try()
        elif code == RESTART and restart is not None:
            self._wait(restart)
        else:
            self._token_refused = False
            if code in _LONGER:
                self._failures = max(self._failures, LONGER)
            self._failures += 1
            self._wait(self._core.delay(self._failures - 1, at_least))

    def _down(self) -> None:
        """There is no connection any more; said after the new state."""
        self._core.up = False
        self._core.forget("hello", "quiet")
        self._renewing = False
        self._rooms.lost()
        self._requests.lost()

    def _wait(self, delay: int) -> None:
        self._phase = "waiting"
        self._state("waiting", retry_in_ms=delay, attempt=self._dials + 1, code=self._code)
        self._down()
        self._core.wake("retry", delay, self._try)

    def _stop(self, reason: str, code: int) -> None:
        self._end("stopped", reason=reason, code=code)

    def _offline(self, _: inputs.Offline) -> None:
        if self._phase == "waiting":
            self._phase = "offline"
            self._core.forget("retry")
            self._state("offline")

    def _woken(self, event: inputs.Online | inputs.Visible) -> None:
        if self._phase == "waiting" or (self._phase == "offline" and type(event) is inputs.Online):
            self._wait(int(self._core.random * self._core.base_ms))
        elif self._phase == "connected":
            self._ping()

    def _request(self, event: inputs.Request) -> None:
        self._requests.add(event, over=self._phase in ("stopped", "closed"))

    def _close(self, _: inputs.Close) -> None:
        if self._phase == "closed":
            return
        if self._phase in ("dialing", "greeting", "adopting", "connected"):
            self._core.emit(HangUp(1000))
        self._end("closed")

    def _end(self, phase: str, **more: object) -> None:
        self._phase = phase
        self._state(phase, **more)
        self._core.up = False
        self._rooms.lost()
        self._requests.fail_all()
        self._core.forget_all()

    def _state(self, state: str, **more: object) -> None:
        self._core.emit(State({"state": state, **more}))

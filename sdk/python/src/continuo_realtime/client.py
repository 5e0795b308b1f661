"""The client: carries out what the session decides, and is what an application calls."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random as chance
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from . import codec, effects, inputs
from ._cursors import CursorWriter
from ._link import Link
from ._version import __version__
from .codec import Frame
from .errors import ContinuoError, stopped
from .room import Room, SnapshotHandler
from .session import Session
from .stores import CursorStore, MemoryStore
from .transport import Address, Clock, Handle, LoopClock, Transport, WebTransport

MOMENT = 1.0  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
log = logging.getLogger("continuo_realtime")

TokenSource = str | Callable[[], str | Awaitable[str | None] | None] | None
State = dict[str, Any]
T = TypeVar("T")


class Client:
    """A connection to a server that heals itself, and the rooms that are joined over it.

        async with Client("http://127.0.0.1:6001", token=get_token) as client:
            room = client.room("lobby")
            await room.join()
            async for event in room: ...

    `token` is a string or a function that gives one; it is asked on every attempt, and None is an anonymous session. `cursors` keeps
    positions over restarts. `snapshot` loads a room's state in place of the server's snapshot. `buffer` is how many events of a
    room may wait to be handled. A client belongs to one event loop. All methods may be called from any of its tasks.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource = None,
        cursors: CursorStore | None = None,
        snapshot: SnapshotHandler | None = None,
        name: str = f"continuo-python/{__version__}",
        app: str | None = None,
        buffer: int = 1024,
        clock: Clock | None = None,
        random: Callable[[], float] = chance.random,
        transport: Transport | None = None,
    ) -> None:
        self._address = Address(url, app)
        self._token = token
        self._current_token: str | None = None
        self._snapshot = snapshot
        self._clock = clock or LoopClock()
        self._random = random
        self._transport = transport or WebTransport()
        self._session = Session(name, buffer)
        self._link = Link(self._transport, self._step)
        self._timer: Handle | None = None
        self._token_task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._rooms: dict[str, Room] = {}
        self._requests: dict[str, asyncio.Future[Frame]] = {}
        self._last_request = 0
        self._state: State = {"state": "idle"}
        self._closing = False
        self._effects: deque[effects.Effect] = deque()
        self._draining = False
        self._state_listeners: list[Callable[[State], object]] = []
        self._error_listeners: list[Callable[[Exception], object]] = []
        self._cursors = CursorWriter(cursors or MemoryStore(), self._report)

    # What an application calls.

    @property
    def state(self) -> State:
        """The state of the connection: `state`, and what belongs to it. `describe` puts it into words."""
        return self._state

    def on_state(self, listener: Callable[[State], object]) -> Callable[[], None]:
        """Calls a function at every change of the state. The function that is returned ends that."""
        return _listen(self._state_listeners, listener)

    def on_error(self, listener: Callable[[Exception], object]) -> Callable[[], None]:
        """Calls a function with what went wrong and was survived; without one it is logged."""
        return _listen(self._error_listeners, listener)

    async def states(self) -> AsyncIterator[State]:
        """The state, and every state after it, until the client is closed."""
        queue: asyncio.Queue[State] = asyncio.Queue()
        stop = self.on_state(queue.put_nowait)
        try:
            state = self._state
            yield state
            while state["state"] != "closed":
                state = await queue.get()
                yield state
        finally:
            stop()

    def start(self) -> None:
        """Begins to connect, and does not wait; what is asked for meanwhile happens as soon as it can."""
        self._step(inputs.Connect())

    async def connect(self) -> None:
        """Connects, and waits until that has worked once, however long it takes. Raises ContinuoError if the server says that it is
        of no use to try again, and after `close`."""
        if self._closing:
            raise ContinuoError("closed", "the client is closed")
        settled: asyncio.Future[State] = asyncio.get_running_loop().create_future()

        def look(state: State) -> None:
            if state["state"] in ("connected", "stopped", "closed") and not settled.done():
                settled.set_result(state)

        stop = self.on_state(look)
        try:
            self.start()
            if self._state["state"] == "connected":
                return
            state = await settled
        finally:
            stop()
        if state["state"] != "connected":
            raise stopped(state)

    async def close(self, timeout: float = 5.0) -> None:
        """Ends the client: what is under way is answered first, and the events that are being handled are, if that takes no longer
        than `timeout` seconds. Then positions are stored, and a store that does not return is given up."""
        if self._closing:
            return
        self._closing = True
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            if self._requests and self._state["state"] in ("connecting", "connected", "waiting"):
                await asyncio.wait(list(self._requests.values()), timeout=timeout)
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.gather(*(room._end(left) for room in self._rooms.values()))
        finally:
            self._step(inputs.Close())
            await self._cursors.close(max(MOMENT, deadline - asyncio.get_running_loop().time()))
            await self._link.close()
            await end_tasks([*self._tasks, self._token_task])

    async def __aenter__(self) -> Client:
        try:
            await self.connect()
        except BaseException:
            await self.close(0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(5.0 if kind is None else 0.0)

    def room(self, name: str) -> Room:
        """The room of a name, the same object each time."""
        if name not in self._rooms:
            self._rooms[name] = Room(self, name)
        return self._rooms[name]

    def online(self) -> None:
        """Tells the client that the platform has a network again."""
        self._step(inputs.Online())

    def offline(self) -> None:
        """Tells the client that the platform has lost its network."""
        self._step(inputs.Offline())

    # What rooms call.

    async def _request(self, frame: Frame, again: bool) -> Frame:
        """Sends a frame and waits for its answer; `again` says that it may be sent a second time. Raises ContinuoError."""
        if self._closing:
            raise ContinuoError("closed", "the client is closed")
        self._last_request += 1
        id = str(self._last_request)
        codec.encode(frame)  # raises here, and not on its way
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._requests[id] = answer
        try:
            self._step(inputs.Request(id, frame, again))
            return await answer
        finally:
            if self._requests.pop(id, None) is not None:
                self._step(inputs.Cancel(id))

    def _report(self, error: Exception) -> None:
        """Tells the application about something that was survived."""
        if not self._error_listeners:
            log.warning("%s", error, exc_info=None if isinstance(error, ContinuoError) else error)
        for listener in list(self._error_listeners):
            try:
                listener(error)
            except Exception:
                log.exception("an error listener has failed")

    def _spawn(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Runs something until it is done or the client is closed."""
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _notify(self, listeners: list[Callable[[State], object]], state: State) -> None:
        for listener in list(listeners):
            try:
                listener(state)
            except Exception as error:
                self._report(error)

    # The session.

    def _step(self, event: inputs.Input) -> None:
        """Tells the session what has happened. Effects are carried out in order, also when one of them leads to the next step."""
        self._effects.extend(self._session.step(self._clock.now(), event, self._random()))
        if self._draining:
            return
        self._draining = True
        try:
            while self._effects:
                self._carry_out(self._effects.popleft())
        finally:
            self._draining = False

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Deliver(room, frame):
                self._rooms[room]._push(frame)
            case effects.Cursor(room, stream_id, event_id):
                self._rooms[room]._moved(stream_id, event_id)
                self._cursors.save(room, {"stream_id": stream_id, "event_id": event_id})
            case effects.Send(frame):
                self._link.send(frame)
            case effects.SetTimer(in_ms):
                self._set_timer(in_ms)
            case effects.Answer(id, frame):
                self._answered(id, frame)
            case effects.Failed(id, code, message, retryable, version):
                self._answered(id, ContinuoError(code, message, retryable, version))
            case effects.RoomState(room, state):
                self._rooms[room]._changed(state)
            case effects.State(state):
                self._changed(state)
            case effects.Warn(message):
                self._report(ContinuoError("warning", message))
            case effects.Dial(token):
                self._link.dial(self._address.socket, token)
            case effects.HangUp(code):
                self._link.hang_up(code)
            case effects.WantToken():
                self._want_token()
            case effects.FetchSnapshot():
                self._rooms[effect.room]._fetch(effect)

    def _changed(self, state: State) -> None:
        self._state = state
        if state["state"] == "stopped":
            for room in list(self._rooms.values()):
                room._give_up(stopped(state))
        self._notify(self._state_listeners, state)

    def _set_timer(self, in_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if in_ms is None else self._clock.call_later(in_ms, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._step(inputs.Timer())

    def _answered(self, id: str, answer: Frame | ContinuoError) -> None:
        future = self._requests.pop(id, None)
        if future is None or future.done():
            return
        if isinstance(answer, ContinuoError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _want_token(self) -> None:
        if self._token_task is not None:
            self._token_task.cancel()
        self._token_task = asyncio.ensure_future(self._ask_token())

    async def _ask_token(self) -> None:
        try:
            token = await resolve(self._token()) if callable(self._token) else self._token
            if token is not None and not isinstance(token, str):
                raise TypeError(f"a token is a str, not a {type(token).__name__}")
            if token and not _TOKEN.fullmatch(token):
                raise ValueError("a token has a character that no token has")
        except Exception as error:
            self._report(error)
            self._step(inputs.TokenFailed(str(error) or type(error).__name__))
        else:
            self._current_token = token or None
            self._step(inputs.Token(token or None))


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancels tasks and waits until they are gone, but not for one that will not go, nor for the one that asks."""
    ending = {task for task in tasks if task is not None and not task.done() and task is not asyncio.current_task()}
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending, timeout=MOMENT)


async def resolve(value: T | Awaitable[T]) -> T:
    """What a function returned that may be asynchronous or not."""
    return await value if inspect.isawaitable(value) else value


def _listen(listeners: list[Callable[..., object]], listener: Callable[..., object]) -> Callable[[], None]:
    listeners.append(listener)

    def stop() -> None:
        if listener in listeners:
            listeners.remove(listener)

    return stop

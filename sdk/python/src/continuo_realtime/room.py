"""A room as an application sees it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypedDict, cast

from . import codec, inputs
from .codec import Frame
from .effects import FetchSnapshot
from .errors import ContinuoError, busy, stopped
from .stores import Position
from .transport import load_snapshot

if TYPE_CHECKING:
    from .client import Client

Event = dict[str, Any]
"""An event of a room, with its wire names; `kind` says which."""


class SnapshotRequired(TypedDict):
    """What a snapshot is needed for. One that is older than the position does not do."""

    room_id: str
    reason: str
    stream_id: str
    event_id: int
    url: str


SnapshotHandler = Callable[[SnapshotRequired], Awaitable[Event] | Event]
EventHandler = Callable[[Event], Any]


class Accepted(TypedDict):
    """What was written, and where."""

    event_id: int
    message_id: str
    version: int


class HistoryPage(TypedDict, total=False):
    """A page of history: newest first, or oldest first with `after`."""

    items: list[Event]
    has_more: bool
    next_cursor: str
    truncated: bool


class Members(TypedDict, total=False):
    """Who is in a room."""

    members: list[Frame]
    member_count: int
    members_truncated: bool
    presence_id: int


MOMENT = 1.0  # seconds
_ABSENT: Any = object()


class Room:
    """Its events are taken by `async for event in room`, or by `on_event`; one of the two, once. An event counts as handled when the
    next is asked for, or when the handler has returned, and only then the position moves past it."""

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self._client = client
        self._state: dict[str, Any] = {"state": "left"}
        self._position: Position | None = None
        self._listeners: list[Callable[[dict[str, Any]], object]] = []
        self._queue: deque[Event] = deque()
        self._taken: Event | None = None  # by the consumer, and not handled yet
        self._ended = True
        self._leaves = 0
        self._arrived: asyncio.Future[None] | None = None
        self._settled: asyncio.Future[None] | None = None
        self._handler: EventHandler | None = None
        self._worker: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def state(self) -> dict[str, Any]:
        """The state of the room: `state`, and what belongs to it. `describe` puts it into words."""
        return self._state

    @property
    def position(self) -> Position | None:
        """Everything up to here was handled."""
        return self._position

    def on_state(self, listener: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
        """Calls a function at every change of the state. The function that is returned ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    # Joining.

    async def join(
        self,
        *,
        presence: str | None = None,
        presence_data: Any = None,
        events: list[str] | None = None,
        rewind: dict[str, int] | None = None,
        cursor: Position | None = None,
    ) -> None:
        """Joins, and stays joined until `leave`; returns when the room is joined. Raises ContinuoError if the server refuses.

        `presence` is "enter" or "watch", `events` the names of the only messages to come, `rewind` {"count": n} or {"seconds": n} of
        what was before. The room goes on from `cursor`, else from the stored position, else from now.
        """
        codec.encode({"data": presence_data, "events": events, "rewind": rewind})  # raises here, and not on its way
        leaves = self._leaves
        if cursor is None and self._state["state"] in ("left", "refused"):
            cursor = self._position or await self._client._cursors.load(self.name)
        if self._client._closing:
            raise ContinuoError("closed", "the client is closed")
        if leaves != self._leaves:
            raise ContinuoError("left", f"room {self.name} was left")
        if self._settled is None or self._settled.done():
            self._settled = asyncio.get_running_loop().create_future()
        settled = self._settled
        if self._ended:
            self._ended = False
            self._position = cursor
        self._start_worker()
        found = None if cursor is None else dict(cursor)
        self._client._step(inputs.Join(self.name, presence, presence_data, events, rewind, found))
        if self._client.state["state"] == "stopped":
            self._give_up(stopped(self._client.state))
        if self._state["state"] in ("joining", "refused", "left"):
            await asyncio.shield(settled)

    async def leave(self) -> None:
        """Leaves. Events that were not handled yet are dropped, and come again after another `join`."""
        self._leaves += 1
        self._client._step(inputs.Leave(self.name))
        self._taken = None
        self._stop()

    # Writing.

    async def send(
        self,
        text: str | None = None,
        *,
        payload: Any = _ABSENT,
        event: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        ephemeral: bool = False,
    ) -> Accepted:
        """Sends a message and returns what the server has written. It may be sent again after a lost connection, and is still
        written once: for that it gets an idempotency key, if you give none. An `ephemeral` message is for whoever is there now."""
        again = idempotency_key or (None if ephemeral else secrets.token_hex(16))
        more = {"event": event, "key": key, "ephemeral": ephemeral or None, "idempotency_key": again}
        return await self._write("chat.send", {**_content(text, payload), **more})

    async def edit(
        self,
        message_id: str,
        text: str | None = None,
        *,
        payload: Any = _ABSENT,
        if_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Replaces a message. With `if_version` that fails as a `conflict` if the message has another version by now."""
        more = {"message_id": message_id, "if_version": if_version, "idempotency_key": idempotency_key}
        return await self._mutate("message.update", {**_content(text, payload), **more})

    async def append(self, message_id: str, text: str, *, idempotency_key: str | None = None) -> Accepted:
        """Adds to the text of a message."""
        return await self._mutate(
            "message.append", {"message_id": message_id, "text": text, "idempotency_key": idempotency_key}
        )

    async def delete(
        self, message_id: str, *, if_version: int | None = None, idempotency_key: str | None = None
    ) -> Accepted:
        """Deletes a message."""
        more = {"message_id": message_id, "if_version": if_version, "idempotency_key": idempotency_key}
        return await self._mutate("message.delete", more)

    async def react(self, message_id: str, name: str, *, idempotency_key: str | None = None) -> Accepted:
        """Gives a message a reaction."""
        more = {"message_id": message_id, "name": name, "idempotency_key": idempotency_key}
        return await self._mutate("message.react", more)

    async def unreact(self, message_id: str, name: str, *, idempotency_key: str | None = None) -> Accepted:
        """Takes a reaction back."""
        more = {"message_id": message_id, "name": name, "idempotency_key": idempotency_key}
        return await self._mutate("message.unreact", more)

    async def _mutate(self, kind: str, members: Frame) -> Accepted:
        members["idempotency_key"] = members["idempotency_key"] or secrets.token_hex(16)
        return await self._write(kind, members)

    async def _write(self, kind: str, members: Frame) -> Accepted:
        answer = await self._ask(kind, members, members.get("idempotency_key") is not None)
        return cast(Accepted, {name: answer[name] for name in Accepted.__annotations__ if name in answer})

    # Reading.

    async def history(
        self,
        *,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
        cursor: str | None = None,
    ) -> HistoryPage:
        """A page of the messages that were: newest first, or oldest first with `after`."""
        asked = {"limit": limit, "before": before, "after": after, "cursor": cursor}
        return cast(HistoryPage, await self._ask("client.history", asked, True))

    async def presence(self, *, at_presence_id: int | None = None, at_ms: int | None = None) -> Members:
        """Who is in the room, or was at a moment."""
        asked = {"at_presence_id": at_presence_id, "at_ms": at_ms}
        return cast(Members, await self._ask("client.presence", asked, True))

    async def _ask(self, kind: str, members: Frame, again: bool) -> Frame:
        frame = {"kind": kind, "room_id": self.name}
        frame.update((name, value) for name, value in members.items() if value is not None or name == "payload")
        return await self._client._request(frame, again)

    # Taking events.

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next event; the one before counts as handled. Ends when the room is left or the client closed."""
        if self._handler is not None or self._arrived is not None:
            raise busy()
        if (event := await self._next()) is None:
            raise StopAsyncIteration
        return event

    async def _next(self) -> Event | None:
        self._handled()
        while not self._queue:
            if self._ended:
                return None
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        self._taken = self._queue.popleft()
        return self._taken

    def events(self) -> AsyncIterator[Event]:
        """The same as the room itself: its events, one after the other."""
        return self

    def on_event(self, handler: EventHandler) -> None:
        """Gives every event to a function, which may be asynchronous, one after the other. One that raises is reported, and its event
        counts as handled. Another handler takes the place of the one before."""
        if self._handler is None and self._arrived is not None:
            raise busy()
        self._handler = handler
        self._start_worker()

    def _start_worker(self) -> None:
        if self._handler is not None and not self._ended and (self._worker is None or self._worker.done()):
            self._worker = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while (event := await self._next()) is not None:
            assert self._handler is not None
            try:
                result = self._handler(event)
                if isinstance(result, Awaitable):
                    await result
            except Exception as error:
                self._client._report(error)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._client._report(RuntimeError(f"a handler of room {self.name} was cancelled: {error!r}"))

    def _handled(self) -> None:
        event, self._taken = self._taken, None
        if event is None:
            return
        if event["kind"] == "room.snapshot":
            self._client._step(inputs.Snapshot(self.name, event["stream_id"], event["event_id"]))
        else:
            self._client._step(inputs.Handled(self.name))

    # What the client calls.

    def _push(self, event: Event) -> None:
        if not self._ended:
            self._queue.append(event)
            self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _moved(self, stream_id: str, event_id: int) -> None:
        self._position = {"stream_id": stream_id, "event_id": event_id}

    def _changed(self, state: dict[str, Any]) -> None:
        self._state = state
        if state["state"] == "joining":
            self._forget_snapshot()
        if state["state"] == "refused":
            self._give_up(ContinuoError(state["code"], state["message"]))
        elif state["state"] == "left":
            self._give_up(ContinuoError("left", f"room {self.name} was left"))
        elif state["state"] != "joining" and self._settled is not None and not self._settled.done():
            self._settled.set_result(None)
        self._client._notify(self._listeners, state)

    def _give_up(self, error: ContinuoError) -> None:
        """Whoever waits for the room to be joined need not wait any more."""
        if self._settled is not None and not self._settled.done():
            self._settled.set_exception(error)
            self._settled.exception()  # nobody may be waiting

    def _stop(self) -> None:
        self._ended = True
        self._queue.clear()
        if self._fetching is not None:
            self._fetching.cancel()
        self._give_up(ContinuoError("closed", "the client is closed"))
        self._wake()

    async def _end(self, timeout: float) -> None:
        """Takes no more events, and waits for the handler of the one that is under way."""
        self._stop()
        worker = self._worker
        if worker is not None and worker is not asyncio.current_task():
            if not worker.done():
                await asyncio.wait([worker], timeout=timeout)
            worker.cancel()
            await asyncio.wait([worker], timeout=MOMENT)

    # Snapshots.

    def _fetch(self, required: FetchSnapshot) -> None:
        self._forget_snapshot()
        self._fetching = self._client._spawn(self._load(required))

    def _forget_snapshot(self) -> None:
        """One that was not taken yet would come too late: what follows may begin before it, and go beyond it."""
        if self._fetching is not None:
            self._fetching.cancel()
        self._queue = deque(event for event in self._queue if event["kind"] != "room.snapshot")
        if self._taken is not None and self._taken["kind"] == "room.snapshot":
            self._taken = None

    async def _load(self, required: FetchSnapshot) -> None:
        """Loads the state, and puts it into the queue; when it was handled, the session learns of it."""
        client = self._client
        try:
            url, own = client._address.snapshot(self.name, required.url)
            if client._snapshot is None:
                loaded = await load_snapshot(client._transport, url, client._current_token if own else None)
            else:
                asked: SnapshotRequired = {
                    "room_id": self.name,
                    "reason": required.reason,
                    "stream_id": required.stream_id,
                    "event_id": required.event_id,
                    "url": url,
                }
                result = client._snapshot(asked)
                loaded = await result if isinstance(result, Awaitable) else result
                if type(loaded.get("stream_id")) is not str or type(loaded.get("event_id")) is not int:
                    raise ValueError("the snapshot that was loaded names no stream_id and event_id")
        except Exception as error:
            client._report(error)
            client._step(inputs.SnapshotFailed(self.name))
        else:
            self._push({**loaded, "kind": "room.snapshot", "room_id": self.name, "reason": required.reason})


def _content(text: str | None, payload: Any) -> Frame:
    if (text is None) == (payload is _ABSENT):
        raise ValueError("a message has a text or a payload, one of the two")
    return {"payload": payload} if text is None else {"text": text}

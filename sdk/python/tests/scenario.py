"""Plays the scenario that all client libraries play (spec/vectors/client/README.md has its words)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import signal
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

from continuo_realtime import Client, ContinuoError, MemberList, MemoryStore, MessageList, Position
from continuo_realtime.server import ALL_RIGHTS, BatchItem, Op
from continuo_realtime.server import Server as Backend
from harness import PATIENCE, Proxy, Server, Watch, matches, within

EVENTS = ("chat.", "message.", "presence.")
Step = dict[str, Any]


class Store(MemoryStore):
    """A store that tells of what it is given."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    async def save(self, room: str, position: Position) -> None:
        await super().save(room, position)
        self._watch.changed()


class Tokens:
    """A token callback that gives what the scene says, one after another, and the last one for ever."""

    minted = 0

    def __init__(self, user: str, backend: Backend, watch: Watch) -> None:
        self._user, self._backend, self._watch = user, backend, watch
        self.asked = 0
        self.use(None)

    def use(self, tokens: list[Step] | None) -> None:
        self._left = [dict(one) for one in tokens or [{}]]

    def __call__(self) -> str:
        self.asked += 1
        self._watch.changed()
        one = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if one.get("throws"):
            raise RuntimeError("the scene lets the callback fail")
        if "raw" in one:
            return str(one["raw"])
        Tokens.minted += 1
        token = self._backend.mint_token(
            one.get("user", self._user),
            ttl=one.get("ttl", 3600 + Tokens.minted),
            rooms=[{"pattern": one.get("rooms", "*"), "can": one.get("can", ALL_RIGHTS)}],
            info=one.get("info"),
        )
        if one.get("fixed"):
            one["raw"] = token
        return token


class RoomLog:
    """What one client was given of one room."""

    def __init__(self) -> None:
        self.states: list[Step] = []
        self.events: list[Step] = []
        self.messages = MessageList()
        self.members = MemberList()
        self.states_found = 0
        self.events_found = 0
        self.go = asyncio.Event()
        self.go.set()


class Player:
    """One client of a scene, and what it has seen."""

    def __init__(self, name: str, server: Server, backend: Backend, watch: Watch) -> None:
        self.proxy = Proxy(server.host)
        self.tokens = Tokens(name, backend, watch)
        self._watch = watch
        self.client: Client | None = None
        self.states: list[Step] = []
        self.states_found = 0
        self.rooms: dict[str, RoomLog] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def connect(self, store: MemoryStore) -> None:
        if self.client is None or self.client.state["state"] == "closed":
            self.client = Client(self.proxy.url, token=self.tokens, cursors=store)
            self.client.on_state(self._state)
            self.client.on_error(lambda error: None)
        self._tasks.append(asyncio.ensure_future(self._connect(self.client)))

    def _state(self, state: Step) -> None:
        self.states.append(state)
        self._watch.changed()

    async def _connect(self, client: Client) -> None:
        with contextlib.suppress(ContinuoError):  # the states tell
            await client.connect()

    def join(self, name: str, options: Step) -> None:
        assert self.client is not None
        room = self.client.room(name)
        if name not in self.rooms:
            log = self.rooms[name] = RoomLog()

            def state(state: Step) -> None:
                log.states.append(state)
                self._watch.changed()

            async def take(event: Step) -> None:
                await log.go.wait()
                if event["kind"].startswith(EVENTS):
                    log.events.append(event)
                log.messages.apply(event)
                log.members.apply(event)
                self._watch.changed()

            room.on_state(state)
            room.on_event(take)

        async def join() -> None:
            with contextlib.suppress(ContinuoError):  # the states tell
                await room.join(**options)

        self._tasks.append(asyncio.ensure_future(join()))

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()
        await asyncio.gather(*self._tasks)


class Scene:
    def __init__(self, server: Server, app: Step) -> None:
        self._server = server
        self._app = app
        self._backend = Backend(server.url, app["id"], app["key"], app["secret"])
        self._watch = Watch()
        self._players: dict[str, Player] = {}
        self._stores: dict[str, Store] = {}
        self._started: dict[str, asyncio.Task[Any]] = {}
        self._names: dict[str, Any] = {}

    async def play(self, steps: list[Step]) -> None:
        try:
            for step in steps:
                self._names.pop("i", None)
                for i in range(step.get("repeat", 1)):
                    if "repeat" in step:
                        self._names["i"] = i + 1
                    try:
                        await within(self._step(self._resolve(step)))
                    except Exception as error:
                        raise AssertionError(f"{json.dumps(step)}: {error!r}") from error
        finally:
            for player in self._players.values():
                for log in player.rooms.values():
                    log.go.set()
                await player.close()
                player.proxy.end()

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner if name in ("save", "start") else self._resolve(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._resolve(inner) for inner in value]
        if not isinstance(value, str):
            return value
        if value.startswith("$") and value[1:] in self._names:
            return self._names[value[1:]]
        return re.sub(r"\$(\w+)", lambda name: str(self._names.get(name.group(1), name.group(0))), value)

    async def _step(self, step: Step) -> None:
        do = step["do"]
        own = getattr(self, f"_do_{do}", None)
        if own is not None:
            await own(step)
        elif step.get("start"):
            self._started[step["start"]] = asyncio.ensure_future(self._ask(do, step))
            await asyncio.sleep(0)  # it is begun
        else:
            await self._result(step, self._ask(do, step))

    async def _result(self, step: Step, work: Any) -> None:
        try:
            result = await work
        except ContinuoError as error:
            assert "error" in step, repr(error)
            found = {"code": error.code, "retryable": error.retryable, "version": error.version}
            assert matches(step["error"], found), repr(error)
            return
        assert "error" not in step, f"it has not failed: {result}"
        assert matches(step.get("expect", {}), result), result
        self._save(step, result)

    def _save(self, step: Step, result: Step) -> None:
        for name, member in step.get("save", {}).items():
            self._names[name] = result[member]

    async def _ask(self, do: str, step: Step) -> Any:
        words = ("do", "client", "room", "expect", "save", "error", "start", "repeat")
        arguments = {name: value for name, value in step.items() if name not in words}
        if do.startswith("server_"):
            return await self._ask_server(do, step.get("room", ""), arguments)
        client = self._players[step["client"]].client
        assert client is not None
        return await getattr(client.room(step["room"]), do)(**arguments)

    async def _ask_server(self, do: str, room: str, a: Step) -> Any:
        backend = self._backend
        match do:
            case "server_publish":
                return await backend.publish(room, a["event"], a["data"])
            case "server_put":
                return await backend.put(room, a["key"], a["event"], a["data"])
            case "server_batch":
                batch: list[BatchItem] = []
                for i in range(a["count"]):
                    batch.append({"room": room, "event": a["event"], "data": a["data"].replace("$i", str(i + 1))})
                return {"batch": await backend.publish_batch(batch)}
            case "server_mutate":
                op = cast(Op, a["op"])
                return await backend.mutate(room, a["message_id"], op, a.get("data"), if_version=a.get("if_version"))
            case "server_history":
                return await backend.history(room, limit=a.get("limit"))
            case "server_snapshot":
                return await backend.snapshot(room)
            case "server_members":
                return {"users": [{"id": user} for user in await backend.presence(room)]}
            case "server_presence_history":
                return await backend.presence_history(room)
            case "server_post":
                return await asyncio.to_thread(self._post, a["path"], a["body"])
        raise AssertionError(f"no such step: {do}")

    def _post(self, path: str, body: Any) -> Any:
        app = self._app
        headers = {"Authorization": f"Bearer {app['key']}:{app['secret']}", "Content-Type": "application/json"}
        url = f"{self._server.url}/apps/{app['id']}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    # Steps of their own.

    async def _do_connect(self, step: Step) -> None:
        name = step["client"]
        player = self._players.get(name)
        if player is None:
            player = self._players[name] = Player(name, self._server, self._backend, self._watch)
            player.tokens.use(step.get("tokens"))
        elif "tokens" in step:
            player.tokens.use(step["tokens"])
        store = self._stores.setdefault(step.get("store") or secrets.token_hex(4), Store(self._watch))
        player.connect(store)
        await self._find(player.states, player, step.get("until", {"state": "connected"}))

    async def _do_tokens(self, step: Step) -> None:
        self._players[step["client"]].tokens.use(step.get("tokens"))

    async def _do_join(self, step: Step) -> None:
        player = self._players[step["client"]]
        words = ("do", "client", "room", "until")
        player.join(step["room"], {name: value for name, value in step.items() if name not in words})
        log = player.rooms[step["room"]]
        await self._find(log.states, log, step.get("until", {"state": "live"}))

    async def _do_leave(self, step: Step) -> None:
        client = self._players[step["client"]].client
        assert client is not None
        await client.room(step["room"]).leave()

    async def _do_close(self, step: Step) -> None:
        await self._players[step["client"]].close()

    async def _do_await(self, step: Step) -> None:
        await self._result(step, self._started[step["request"]])

    async def _find(self, states: list[Step], found: Player | RoomLog, wanted: Step) -> None:
        """A state that matches, behind the one that was found last."""

        def look() -> int | None:
            for i in range(found.states_found, len(states)):
                if matches(wanted, states[i]):
                    return i + 1
            return None

        found.states_found = await self._watch.until(look, lambda: (wanted, states))

    async def _do_state(self, step: Step) -> None:
        player = self._players[step["client"]]
        await self._find(player.states, player, _rest(step))

    async def _do_no_state(self, step: Step) -> None:
        player = self._players[step["client"]]
        wanted = _rest(step)
        assert not any(matches(wanted, state) for state in player.states[player.states_found :]), player.states

    async def _do_room(self, step: Step) -> None:
        log = self._log(step)
        await self._find(log.states, log, _rest(step))

    def _log(self, step: Step) -> RoomLog:
        return self._players[step["client"]].rooms[step["room"]]

    async def _do_events(self, step: Step) -> None:
        log, wanted = self._log(step), step["list"]
        end = log.events_found + len(wanted)
        await self._watch.until(lambda: len(log.events) >= end, f"{step}: {log.events[log.events_found :]}")
        found = log.events[log.events_found : end]
        assert matches(wanted, found), found
        log.events_found = end
        self._save(step, found[-1])

    async def _do_no_more(self, step: Step) -> None:
        log = self._log(step)
        assert log.events[log.events_found :] == []

    async def _do_ids(self, step: Step) -> None:
        log, wanted = self._log(step), list(range(step["from"], step["to"] + 1))

        def ids() -> Iterator[int]:
            return (event["event_id"] for event in log.events if event.get("event_id") is not None)

        await self._watch.until(lambda: sum(1 for _ in ids()) >= len(wanted), step)
        assert list(ids()) == wanted

    async def _do_messages(self, step: Step) -> None:
        log = self._log(step)
        wanted = [{"text": one} if isinstance(one, str) else one for one in step["list"]]
        await self._watch.until(lambda: matches(wanted, list(log.messages)), step)

    async def _do_members(self, step: Step) -> None:
        log, wanted = self._log(step), step["list"]

        def look() -> bool:
            return [one["user_id"] for one in log.members] == wanted and log.members.count == len(wanted)

        await self._watch.until(look, step)

    async def _do_asked(self, step: Step) -> None:
        tokens = self._players[step["client"]].tokens
        await self._watch.until(lambda: tokens.asked >= step["times"], step)
        assert tokens.asked == step["times"]

    async def _do_stored(self, step: Step) -> None:
        positions = self._stores[step["store"]]._positions

        def look() -> bool:
            found = positions.get(step["room"])
            return found is not None and found["event_id"] == step["event_id"]

        await self._watch.until(look, (step, positions))

    async def _do_hold(self, step: Step) -> None:
        self._log(step).go.clear()

    async def _do_release(self, step: Step) -> None:
        self._log(step).go.set()

    async def _do_proxy(self, step: Step) -> None:
        await self._players[step["client"]].proxy.post(step["post"])

    async def _do_kill_server(self, _: Step) -> None:
        await asyncio.to_thread(self._server.end, signal.SIGKILL)

    async def _do_stop_server(self, _: Step) -> None:
        await asyncio.to_thread(self._server.end, signal.SIGTERM)

    async def _do_start_server(self, _: Step) -> None:
        await asyncio.to_thread(self._server.start)


def _rest(step: Step) -> Step:
    return {name: value for name, value in step.items() if name not in ("do", "client", "room")}

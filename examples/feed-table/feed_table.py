#!/usr/bin/env python3
"""The demonstration feed as a live table in a terminal, with asyncio and websockets.

    continuo serve
    continuo demo feed
    pip install websockets
    python3 examples/feed-table/feed_table.py

The table and the cursors that belong to it are kept in one file: stopped (or killed) and started again, the program goes
on where it was. It counts what it missed and what it saw twice; both stay 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import websockets

CHANNELS = ["fixtures", "scores", "odds"]


def serial(entry_id: str) -> int:
    """The second half of an entry id: contiguous within a channel."""
    return int(entry_id.partition("-")[2] or 0)


class Fatal(Exception):
    """An end that retrying does not change."""


class Table:
    """Rows, the cursors that they reflect, and an account of what was missed or seen twice."""

    def __init__(self, file: str):
        self.file = file
        self.epoch = ""
        self.cursors: dict[str, str] = {}
        self.fresh: dict[str, bool] = {}  # the cursor came from a snapshot: frames that it overtook may still come
        self.rows: dict[str, dict[str, dict]] = {}
        self.account = {"frames": 0, "missed": 0, "twice": 0, "out_of_turn": 0, "snapshots": 0, "resumes": 0}
        self.last_seq: dict[str, int] = {}
        self.status = "starting"
        self.dirty = False
        if file and os.path.exists(file):
            with open(file, encoding="utf-8") as f:
                self.__dict__.update(json.load(f))

    def save(self) -> None:
        """Writes everything or nothing: a crash leaves the old file or the new one."""
        if not self.file or not self.dirty:
            return
        kept = {k: getattr(self, k) for k in ("epoch", "cursors", "fresh", "rows", "account", "last_seq")}
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            json.dump(kept, f)
        os.replace(self.file + ".new", self.file)
        self.dirty = False

    def snapshot(self, channel: str, epoch: str, entry_id: str, items: list[dict]) -> None:
        self.rows[channel] = {item["key"]: item["payload"] for item in items}
        self.epoch, self.cursors[channel], self.fresh[channel] = epoch, entry_id, True
        self.account["snapshots"] += 1
        self.last_seq.pop(channel, None)
        self.dirty = True

    def data(self, frame: dict) -> None:
        channel, at = frame["channel"], serial(frame["entryId"])
        was = serial(self.cursors.get(channel, ""))
        if at <= was and self.fresh.get(channel):
            return  # the snapshot has overtaken it
        self.dirty = True
        self.account["frames"] += 1
        if at <= was:
            self.account["twice"] += 1
            return
        self.account["missed"] += at - was - 1
        self.cursors[channel] = frame["entryId"]
        self.fresh.pop(channel, None)
        rows = self.rows.setdefault(channel, {})
        if frame["type"] == "DELETE":
            rows.pop(frame["key"], None)
            return
        payload = rows[frame["key"]] = frame["payload"]
        seq, last = payload.get("seq", 0), self.last_seq.get(channel)
        if seq != 1 and last is not None and seq != last + 1:
            self.account["out_of_turn"] += 1
        self.last_seq[channel] = seq

    def render(self) -> str:
        best: dict[str, list[float]] = {}
        for odds in self.rows.get("odds", {}).values():
            b = best.setdefault(odds["fixtureId"], [0.0, 0.0, 0.0])
            for i, side in enumerate(("home", "draw", "away")):
                b[i] = max(b[i], odds.get(side, 0.0))
        lines = [f"{'FIXTURE':8} {'SPORT':11} {'':24} {'SCORE':>7} {'MIN':>5} {'STATUS':10} BEST ODDS 1 X 2"]
        for key, f in sorted(self.rows.get("fixtures", {}).items(), key=lambda kv: (len(kv[0]), kv[0])):
            s = self.rows.get("scores", {}).get(key, {})
            odds = " ".join(f"{o:5.2f}" for o in best.get(key, []))
            match = f"{f['home']} – {f['away']}"
            lines.append(f"{key:8} {f['sport']:11} {match:24} {s.get('home', 0):3}:{s.get('away', 0):<3} {s.get('minute', 0):5} {f['status']:10} {odds}")
        a = self.account
        lines.append(f"\n{a['frames']} frames, {a['missed']} missed, {a['twice']} twice, {a['out_of_turn']} out of turn, {a['snapshots']} snapshots · {self.status}")
        return "\n".join(lines)


class Client:
    """Follows the channels and resumes after every disconnect."""

    def __init__(self, url: str, api_key: str, table: Table):
        self.url, self.api_key, self.table = url.rstrip("/"), api_key, table

    def fetch(self, channel: str) -> None:
        """All pages of a channel's state."""
        items, cursor = [], None
        while True:
            target = f"{self.url}/feed/snapshot/{urllib.parse.quote(channel, safe='')}"
            if cursor:
                target += "?" + urllib.parse.urlencode({"cursor": cursor})
            request = urllib.request.Request(target, headers={"Authorization": "Bearer " + self.api_key})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    page = json.load(answer)
            except urllib.error.HTTPError as e:
                if e.code in (401, 403):
                    raise Fatal(e.read().decode()) from e
                raise
            items += page["items"]
            if not page["has_more"]:
                self.table.snapshot(channel, page["serverEpoch"], page["entryId"], items)
                return
            cursor = page["next_cursor"]

    async def run(self) -> None:
        pause = 0.1
        while True:
            began = time.monotonic()
            try:
                await self.once()
            except Fatal:
                raise
            except (OSError, websockets.WebSocketException, asyncio.TimeoutError) as e:
                if time.monotonic() - began > 5:
                    pause = 0.1
                self.table.status = f"reconnecting: {e}"
                await asyncio.sleep(random.uniform(pause / 2, pause * 1.5))
                pause = min(2 * pause, 5.0)

    async def once(self) -> None:
        table = self.table
        if not table.epoch:  # the first time: the state, and a position to go on from
            for channel in CHANNELS:
                await asyncio.to_thread(self.fetch, channel)
        async with websockets.connect("ws" + self.url.removeprefix("http") + "/feed", ping_interval=None, max_size=16 << 20) as ws:
            await ws.send(json.dumps({"type": "login", "apiKey": self.api_key, "channels": CHANNELS, "clientName": "feed_table.py",
                                      "serverEpoch": table.epoch, "lastSeenId": table.cursors}))
            leave = None
            while leave is None or time.monotonic() < leave:
                try:
                    frame = json.loads(await asyncio.wait_for(ws.recv(), None if leave is None else max(0.01, leave - time.monotonic())))
                except asyncio.TimeoutError:
                    continue
                except websockets.ConnectionClosed as e:
                    if e.rcvd is not None and e.rcvd.code in (4000, 4001):
                        raise Fatal(f"closed with {e.rcvd.code} {e.rcvd.reason}") from e
                    raise
                leave = await self.take(frame, leave)

    async def take(self, frame: dict, leave: float | None) -> float | None:
        table = self.table
        match frame["type"]:
            case "UPDATE" | "DELETE":
                table.data(frame)
            case "login_ok":
                table.status = "live"
            case "snapshot_required" | "resync_required":
                table.status = f"{frame['type']}: {frame['reason']}"
                for channel in frame["channels"]:
                    await asyncio.to_thread(self.fetch, channel)
            case "resume_complete":
                table.account["resumes"] += 1
                table.status = f"live; replayed {frame['replayed']}"
            case "reconnect":  # the server is about to restart: leave when told to, and come back
                return time.monotonic() + frame["afterMs"] / 1000
            case "error":
                if frame["error"] not in ("server_busy", "too_many_connections"):
                    raise Fatal(f"{frame['error']}: {frame['message']}")
        return leave


async def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--url", default="http://127.0.0.1:6001", help="address of the server")
    p.add_argument("--key", default="app-key", help="API key of the feed; in development mode the app's key will do")
    p.add_argument("--state", default="feed-table-py.json", help="file that keeps the table and its cursors; empty: none")
    p.add_argument("--plain", action="store_true", help="draw nothing; print the account as JSON at the end")
    p.add_argument("--for", dest="length", type=float, default=0, metavar="SECONDS", help="end after this time")
    args = p.parse_args()
    table = Table(args.state)
    client = asyncio.create_task(Client(args.url, args.key, table).run())
    end = time.monotonic() + args.length if args.length else None
    try:
        while not client.done() and (end is None or time.monotonic() < end):
            await asyncio.wait({client}, timeout=0.25)
            table.save()
            if not args.plain:
                print("\x1b[H\x1b[2J" + table.render(), flush=True)
        if client.done():
            client.result()
    except Fatal as e:
        print("feed_table:", e, file=sys.stderr)
        return 1
    finally:
        client.cancel()
        table.save()
        if args.plain:
            print(json.dumps(table.account))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        pass

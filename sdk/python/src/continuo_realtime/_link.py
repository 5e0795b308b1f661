"""The one connection that a client has at a time: dials it, reads it, writes it, and lets go of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from . import codec, inputs
from .codec import Frame
from .transport import ClosedError, Connection, RefusedError, Transport

MOMENT = 1.0  # seconds
YIELD_AFTER = 64  # messages read without a pause, so that those who handle them get their turn


class Link:
    def __init__(self, transport: Transport, tell: Callable[[inputs.Input], None]) -> None:
        self._transport = transport
        self._tell = tell
        self._run: _Run | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def dial(self, url: str, token: str | None) -> None:
        self.hang_up(1000)
        self._run = _Run(self._transport, self._tell, url, token)

    def send(self, frame: Frame) -> None:
        if self._run is not None:
            self._run.send(frame)

    def hang_up(self, code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.mute()
            task = asyncio.ensure_future(run.end(code))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Waits until everything that was hung up is gone."""
        self.hang_up(1000)
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)


class _Run:
    """One connection, from dialing to its end."""

    def __init__(self, transport: Transport, tell: Callable[[inputs.Input], None], url: str, token: str | None) -> None:
        self._transport = transport
        self._tell = tell
        self._over = False
        self._connection: Connection | None = None
        self._out: asyncio.Queue[str] = asyncio.Queue()
        self._reader = asyncio.ensure_future(self._read(url, token))
        self._writer: asyncio.Task[None] | None = None

    def send(self, frame: Frame) -> None:
        self._out.put_nowait(codec.encode(frame))

    async def _read(self, url: str, token: str | None) -> None:
        try:
            self._connection = await self._transport.connect(url, token)
        except RefusedError as refusal:
            self._say(inputs.Refused(refusal.status, refusal.retry_after_ms))
            return
        except Exception as error:  # a transport that breaks its word
            self._say(inputs.Malformed(f"the transport has failed: {error!r}"))
            self._say(inputs.Refused())
            return
        self._writer = asyncio.ensure_future(self._write(self._connection))
        self._say(inputs.Opened())
        n = 0
        try:
            while True:
                self._hear(await self._connection.recv())
                n += 1
                if n % YIELD_AFTER == 0:
                    await asyncio.sleep(0)
        except ClosedError as end:
            self._say(inputs.Closed(end.code))
        except Exception as error:  # a transport that breaks its word
            self._say(inputs.Malformed(f"the transport has failed: {error!r}"))
            self._say(inputs.Closed())

    def _hear(self, text: str | bytes) -> None:
        try:
            frame = codec.decode(text)
        except codec.Malformed as error:
            self._say(inputs.Malformed(str(error)))
        else:
            if frame is not None:
                self._say(inputs.Read(frame))

    def _say(self, event: inputs.Input) -> None:
        if not self._over:
            self._tell(event)

    async def _write(self, connection: Connection) -> None:
        while True:
            await connection.send(await self._out.get())

    def mute(self) -> None:
        """From now on nothing that the connection says matters."""
        self._over = True

    async def end(self, code: int) -> None:
        """Sends what is still to be sent, if that takes no longer than a moment, and closes."""
        self._reader.cancel()
        if self._writer is not None:
            self._writer.cancel()
        await asyncio.gather(self._reader, *filter(None, [self._writer]), return_exceptions=True)
        if self._connection is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(MOMENT):
                    while not self._out.empty():
                        await self._connection.send(self._out.get_nowait())
            await self._connection.close(code)

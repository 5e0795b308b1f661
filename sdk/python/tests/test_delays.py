"""The distribution of delays: a client that never gets through, with a clock that is set."""

from __future__ import annotations

import random

from continuo_realtime import Client
from continuo_realtime.transport import RefusedError
from fakes import Clock, Net
from harness import Watch

CLIENTS = 250
ATTEMPTS = 10


async def test_delays_have_full_jitter_and_double_up_to_the_longest() -> None:
    delays: list[list[int]] = [[] for _ in range(ATTEMPTS)]
    seed = random.Random(4711)
    for _ in range(CLIENTS):
        net, clock, watch = Net(), Clock(), Watch()
        net.refusals = [RefusedError(502) for _ in range(ATTEMPTS)]
        client = Client("ws://there", transport=net, clock=clock, random=seed.random)
        client.on_state(watch.changed)
        client.start()
        for n in range(ATTEMPTS):
            await watch.until(lambda client=client: client.state["state"] == "waiting")  # type: ignore[misc]
            began = clock.now()
            assert clock.timer is not None
            assert clock.timer.at - began == client.state["retry_in_ms"]
            delays[n].append(client.state["retry_in_ms"])
            clock.pass_to_timer()
        await client.close(0)
    for n, drawn in enumerate(delays):
        top = min(30_000, 500 << n)
        assert 0 <= min(drawn) < top * 0.05
        assert top * 0.95 < max(drawn) < top
        # The mean of a uniform distribution, and each tenth of it as full as the others, by far more than chance allows.
        assert abs(sum(drawn) / CLIENTS - top / 2) < top * 0.07, n
        tenths = [sum(i * top <= 10 * one < (i + 1) * top for one in drawn) for i in range(10)]
        assert min(tenths) > CLIENTS / 10 / 3, (n, tenths)

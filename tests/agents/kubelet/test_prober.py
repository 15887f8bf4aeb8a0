"""Probes in real time: what is asked, and what comes of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from panal.agents.kubelet.outcome import Outcome
from panal.agents.kubelet.prober import Known, Prober


class Scripted:
    """Handlers whose answers are a function of the probe."""

    def __init__(self, well: Any) -> None:
        self.well = well
        self.asked: list[str] = []

    async def run(self, handler: Any, target: Any, timeout: float | None) -> Outcome:
        self.asked.append(handler["kind"])
        return Outcome(self.well(handler["kind"]), "no")


def spec(*kinds: str, **values: int) -> dict[str, Any]:
    return {"name": "web", **{f"{kind}Probe": {"kind": kind, "periodSeconds": 1, **values} for kind in kinds}}


async def until(check: Any) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.01)


async def test_readiness_waits_for_the_startup_probe() -> None:
    up = [False]
    handlers: Any = Scripted(lambda kind: up[0] or kind == "readiness")
    changes: list[None] = []
    prober = Prober(handlers, lambda: changes.append(None), lambda *_: None)
    prober.follow({"c": (spec("startup", "readiness"), "10.0.0.1", time.time())}, lambda _: None)
    await asyncio.sleep(0.15)
    assert (prober.started(), prober.ready()) == (frozenset(), frozenset())
    assert "readiness" not in handlers.asked
    up[0] = True
    await until(lambda: prober.ready() == {"c"})
    assert prober.started() == {"c"}
    assert changes
    prober.stop()
    assert prober.started() == frozenset()


async def test_a_container_without_probes_is_started_and_ready() -> None:
    prober = Prober(Scripted(lambda _: False), lambda: None, lambda *_: None)  # type: ignore[arg-type]
    prober.follow({"c": (spec(), "", time.time())}, lambda _: None)
    assert prober.started() == prober.ready() == {"c"}


async def test_what_the_api_knew_holds_until_a_probe_says_otherwise() -> None:
    prober = Prober(Scripted(lambda _: False), lambda: None, lambda *_: None)  # type: ignore[arg-type]
    running = {"c": (spec("startup", "readiness", failureThreshold=1, initialDelaySeconds=1), "", time.time())}
    prober.follow(running, lambda _: Known(started=True, ready=True))
    assert prober.ready() == {"c"}
    await until(lambda: prober.ready() == frozenset())
    prober.stop()


async def test_a_container_that_does_not_live_is_told_with_the_probe_that_says_so() -> None:
    told: list[tuple[str, str]] = []
    handlers: Any = Scripted(lambda _: False)
    prober = Prober(handlers, lambda: None, lambda _, kind, verdict, output: told.append((kind, f"{verdict} {output}")))
    began = time.time() - 10
    prober.follow({"c": (spec("liveness", failureThreshold=2), "", began)}, lambda _: None)
    await until(lambda: prober.unhealthy() == {"c": "liveness"})
    assert told == [("liveness", "failed no")] * 2
    prober.stop()


async def test_a_probe_that_cannot_be_made_is_told_and_counts_for_nothing() -> None:
    class Broken:
        async def run(self, handler: Any, target: Any, timeout: float | None) -> Outcome:
            return Outcome(False, "no such program", errored=True)

    told: list[str] = []
    prober = Prober(Broken(), lambda: None, lambda *words: told.append(words[2]))  # type: ignore[arg-type]
    began = time.time() - 10
    prober.follow({"c": (spec("liveness", failureThreshold=1), "", began)}, lambda _: None)
    await until(lambda: len(told) == 2)
    assert (told, prober.unhealthy()) == (["errored"] * 2, {})
    prober.stop()


async def test_of_a_pod_that_ends_only_readiness_is_asked() -> None:
    handlers: Any = Scripted(lambda _: True)
    prober = Prober(handlers, lambda: None, lambda *_: None)
    running = {"c": (spec("liveness", "readiness"), "", time.time() - 10)}
    prober.follow(running, lambda _: None)
    await until(lambda: {"liveness", "readiness"} <= set(handlers.asked))
    prober.follow(running, lambda _: None, ending=True)
    handlers.asked.clear()
    await until(lambda: handlers.asked)
    assert set(handlers.asked) == {"readiness"}
    prober.stop()


async def test_a_program_that_does_not_listen_at_once_has_not_failed() -> None:
    told: list[str] = []
    began = time.time()
    prober = Prober(Scripted(lambda _: False), lambda: None, lambda *words: told.append(words[2]))  # type: ignore[arg-type]
    prober.follow({"c": (spec("liveness", failureThreshold=1), "", began)}, lambda _: None)
    await until(lambda: prober.unhealthy() == {"c": "liveness"})
    assert time.time() - began >= 1
    assert told == ["failed"]
    prober.stop()

"""One pod's status on its way to the API."""

from __future__ import annotations

import asyncio
from typing import Any

from panal.agents.kubelet.reporter import Reporter
from panal.client import Unreachable
from panal.errors import NotFound


class API:
    """Merges statuses as the API server does; `faults` are raised first."""

    def __init__(self, *faults: Exception, keep: bool = True) -> None:
        self.faults = list(faults)
        self.keep = keep
        self.version = 1
        self.patches: list[Any] = []
        self.status: dict[str, Any] = {"phase": "Pending"}

    def pod(self) -> dict[str, Any]:
        meta = {"name": "p", "namespace": "default", "uid": "u", "resourceVersion": str(self.version)}
        return {"metadata": meta, "status": dict(self.status)}

    async def patch(self, resource: Any, name: str, patch: Any, namespace: str, **how: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        assert (patch["metadata"], how) == ({"uid": "u"}, {"kind": "strategic", "subresource": "status"})
        self.patches.append(patch["status"])
        self.version += 1
        if self.keep:
            self.status.update(patch["status"])
        return self.pod()


def reporter(api: API) -> Reporter:
    found = Reporter(api, lambda: 0.03)  # type: ignore[arg-type]
    found.see(api.pod())
    return found


async def test_a_pod_that_runs_soon_is_written_once() -> None:
    api = API()
    found = reporter(api)
    found.wish({"phase": "Pending", "hostIP": "1"}, urgent=False)
    await asyncio.sleep(0.005)
    found.wish({"phase": "Running", "hostIP": "1"}, urgent=True)
    await found.settled()
    assert api.patches == [{"phase": "Running", "hostIP": "1"}]


async def test_while_many_pods_start_the_status_of_one_that_starts_waits_longer() -> None:
    api, patience = API(), 0.01
    found = Reporter(api, lambda: patience)  # type: ignore[arg-type]
    found.see(api.pod())
    found.wish({"phase": "Pending", "hostIP": "1"}, urgent=False)
    await asyncio.sleep(0)
    patience = 60.0
    await asyncio.sleep(0.03)
    assert api.patches == []
    found.wish({"phase": "Running", "hostIP": "1"}, urgent=True)
    await found.settled()
    assert api.patches == [{"phase": "Running", "hostIP": "1"}]


async def test_what_the_api_has_is_not_written_again() -> None:
    api = API()
    found = reporter(api)
    found.wish({"phase": "Pending"}, urgent=True)
    await found.settled()
    assert api.patches == []


async def test_an_api_server_that_is_away_gets_it_when_it_is_back() -> None:
    api = API(Unreachable("away"), Unreachable("away"))
    found = reporter(api)
    found.wish({"phase": "Running"}, urgent=True)
    async with asyncio.timeout(5):
        await found.settled()
    assert api.patches == [{"phase": "Running"}]


async def test_a_pod_that_is_gone_needs_no_status() -> None:
    api = API(NotFound("gone"))
    found = reporter(api)
    found.wish({"phase": "Running"}, urgent=True)
    await found.settled()
    assert (api.patches, found.api) == ([], None)


async def test_an_older_copy_from_the_watch_changes_nothing() -> None:
    api = API()
    before = api.pod()
    found = reporter(api)
    found.wish({"phase": "Running"}, urgent=True)
    await found.settled()
    found.see(before)
    await found.settled()
    assert len(api.patches) == 1


async def test_a_server_that_keeps_it_otherwise_is_told_once() -> None:
    api = API(keep=False)
    found = reporter(api)
    for _ in range(3):
        found.wish({"phase": "Running"}, urgent=True)
        await found.settled()
    assert len(api.patches) == 1


async def test_a_condition_that_another_changes_meanwhile_is_left_to_it() -> None:
    """The wish was made before: it has the readiness gate as it was then."""
    api = API()
    api.status["conditions"] = [{"type": "example.com/gate", "status": "False"}]
    found = reporter(api)
    gate_then = dict(api.status["conditions"][0])
    api.version += 1
    api.status["conditions"] = [{"type": "example.com/gate", "status": "True"}]
    found.wish({"phase": "Running", "conditions": [gate_then, {"type": "Ready", "status": "True"}]}, urgent=True)
    found.see(api.pod())
    await found.settled()
    assert api.patches == [{"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}]


async def test_an_eviction_is_told_in_a_condition_and_anothers_disruption_is_not_repeated() -> None:
    for reason, written in (("TerminationByKubelet", 1), ("PreemptionByScheduler", 0)):
        api = API()
        found = reporter(api)
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": reason}
        found.wish({"phase": "Failed", "conditions": [disrupted]}, urgent=True)
        await found.settled()
        assert sum("conditions" in patch for patch in api.patches) == written

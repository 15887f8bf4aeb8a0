"""One of several does the work: leader election by a Lease, as client-go's.

https://kubernetes.io/docs/concepts/architecture/leases/#leader-election. The leader renews its Lease; who waits watches
it, and takes it when it is released, deleted, or has not been renewed for as long as it says. Clocks of processes are
never compared: a Lease counts as fresh from when a change of it was noticed here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .client import Client, Unreachable
from .durations import seconds
from .errors import AlreadyExists, Conflict, NotFound, StatusError
from .events import Recorder
from .resources import LEASES

Object = dict[str, Any]
_log = logging.getLogger(__name__)

JITTER = 1.2
"""The renew deadline must leave room for that many retry periods, as upstream's must."""
RELEASE_SECONDS = 1.0
"""Most seconds that giving the Lease back may delay an end."""


class LeadershipLost(Exception):
    """The Lease could not be renewed in time, or is somebody else's."""


@dataclass(frozen=True)
class Election:
    """Which Lease, and its times in seconds."""

    name: str
    namespace: str = "kube-system"
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def check(self) -> None:
        """Raises ValueError for times that cannot work."""
        if not self.lease_duration > self.renew_deadline:
            raise ValueError("leaseDuration must be greater than renewDeadline")
        if not self.renew_deadline > JITTER * self.retry_period:
            raise ValueError("renewDeadline must be greater than retryPeriod*JitterFactor")
        if self.lease_duration < 1 or self.retry_period <= 0:
            raise ValueError("leaseDuration must be at least 1s, and retryPeriod greater than zero")


def add_flags(parser: argparse.ArgumentParser, name: str) -> None:
    """The flags `--leader-elect*` of Kubernetes' components."""
    default = Election(name)
    parser.add_argument("--leader-elect", nargs="?", const="true", default="true", choices=("true", "false"))
    parser.add_argument("--leader-elect-lease-duration", type=seconds, default=default.lease_duration)
    parser.add_argument("--leader-elect-renew-deadline", type=seconds, default=default.renew_deadline)
    parser.add_argument("--leader-elect-retry-period", type=seconds, default=default.retry_period)
    parser.add_argument("--leader-elect-resource-lock", default="leases", choices=("leases",))
    parser.add_argument("--leader-elect-resource-name", default=name)
    parser.add_argument("--leader-elect-resource-namespace", default=default.namespace)


def from_flags(options: argparse.Namespace) -> Election | None:
    """The election the flags ask for; None with `--leader-elect=false`. Raises ValueError."""
    if options.leader_elect == "false":
        return None
    election = Election(
        options.leader_elect_resource_name,
        options.leader_elect_resource_namespace,
        options.leader_elect_lease_duration,
        options.leader_elect_renew_deadline,
        options.leader_elect_retry_period,
    )
    election.check()
    return election


def identity(host: str, environ: Mapping[str, str]) -> str:
    """HOST_UUID. A pod's restarted container is the same holder (`POD_NAME`), and need not wait for itself."""
    pod = environ.get("POD_NAME")
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{environ.get('POD_NAMESPACE', '')}/{pod}") if pod else uuid.uuid4()
    return f"{host}_{unique}"


def micro(now: float) -> str:
    """Seconds since the epoch as a MicroTime."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def taken(election: Election, lease: Object | None, me: str, now: float) -> Object:
    """The Lease with `me` as its holder: renewed, taken over, or new."""
    before = (lease or {}).get("spec") or {}
    spec: Object = {
        **before,
        "holderIdentity": me,
        "leaseDurationSeconds": max(1, round(election.lease_duration)),
        "renewTime": micro(now),
    }
    if before.get("holderIdentity") != me:
        spec["acquireTime"] = micro(now)
        spec["leaseTransitions"] = int(before.get("leaseTransitions") or 0) + (1 if lease is not None else 0)
    if lease is not None:
        return {**lease, "spec": spec}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": election.name, "namespace": election.namespace},
        "spec": spec,
    }


def released(lease: Object, now: float) -> Object:
    """The Lease without a holder; the next may take it at once."""
    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro(now)}
    return {**lease, "spec": {**spec, "acquireTime": micro(now)}}


@dataclass
class Seen:
    """The Lease as it was last noticed, and when (a steady clock's seconds)."""

    spec: Object = field(default_factory=dict)
    at: float = 0.0

    def wait(self, lease: Object, me: str, clock: float) -> float:
        """Seconds until `me` may take the Lease, if it does not change: 0 for now."""
        spec = lease.get("spec") or {}
        if spec != self.spec:
            self.spec, self.at = spec, clock
        if spec.get("holderIdentity") in (None, "", me):
            return 0.0
        return max(0.0, self.at + float(spec.get("leaseDurationSeconds") or 0) - clock)


class Elector:
    """Runs work while it holds the Lease."""

    def __init__(self, client: Client, election: Election, me: str, events: Recorder) -> None:
        self._client = client
        self._election = election
        self._me = me
        self._events = events
        self._seen = Seen()
        self._lease: Object | None = None
        """As we wrote it last; None while another, or nobody, holds it."""

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever, and as long as, this one leads; until cancelled, or until `work` ends by itself.

        Work is cancelled when the Lease is lost, and started anew when it has been won again.
        """
        done = False
        while not done:
            await self._acquire()
            self._tell("became leader")
            try:
                async with asyncio.TaskGroup() as group:
                    renewing = group.create_task(self._keep(), name=f"lease {self._election.name}")
                    await work()
                    done = True
                    renewing.cancel()
            except* LeadershipLost as lost:
                _log.error("leaderelection lost: %s", lost.exceptions[0])
                self._tell("stopped leading")
                self._lease = None
            finally:
                await self._release()
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # the group raised what was lost instead

    async def _acquire(self) -> None:
        delay = 0.02
        while True:
            try:
                wait, version = await self._attempt()
                if self._lease is not None:
                    return
                await self._changed(version, wait)
                delay = 0.02
            except (Unreachable, StatusError) as error:
                _log.debug("no lease yet: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._election.retry_period)

    async def _attempt(self) -> tuple[float, str]:
        """Take the Lease if it may be taken. Else (seconds until it may be, the version that was seen)."""
        where, client = self._election, self._client
        now = time.time()
        try:
            lease = await client.get(LEASES, where.name, where.namespace)
        except NotFound:
            try:
                self._lease = await client.create(LEASES, taken(where, None, self._me, now), where.namespace)
            except AlreadyExists:
                pass
            return 0.0, ""
        wait = self._seen.wait(lease, self._me, asyncio.get_running_loop().time())
        if wait > 0:
            return wait, str(lease["metadata"]["resourceVersion"])
        try:
            self._lease = await client.update(LEASES, taken(where, lease, self._me, now))
        except (Conflict, NotFound):
            pass
        return 0.0, ""

    async def _changed(self, version: str, longest: float) -> None:
        """Wait until the Lease may be taken: it is gone or free, or was not renewed for as long as it says."""
        if not version:
            return
        watch = self._client.watch(
            LEASES,
            self._election.namespace,
            resource_version=version,
            field_selector=f"metadata.name={self._election.name}",
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest) as limit, watch as events:
                async for kind, lease in events:
                    if kind == "BOOKMARK":
                        continue
                    wait = (
                        0.0
                        if kind == "DELETED"
                        else self._seen.wait(lease, self._me, asyncio.get_running_loop().time())
                    )
                    if wait == 0:
                        return
                    limit.reschedule(asyncio.get_running_loop().time() + wait)

    async def _keep(self) -> None:
        """Renew until cancelled. Raises LeadershipLost."""
        clock = asyncio.get_running_loop().time
        last = clock()
        while True:
            await asyncio.sleep(self._election.retry_period)
            begun = clock()
            try:
                async with asyncio.timeout_at(max(begun + 0.1, last + self._election.renew_deadline)):
                    await self._renew()
                last = begun
            except (Unreachable, StatusError, TimeoutError) as error:
                if clock() - last >= self._election.renew_deadline:
                    raise LeadershipLost(f"not renewed for {self._election.renew_deadline:g}s: {error}") from error

    async def _renew(self) -> None:
        assert self._lease is not None
        try:
            self._lease = await self._client.update(LEASES, taken(self._election, self._lease, self._me, time.time()))
        except (Conflict, NotFound) as error:
            before, self._lease = self._lease, None
            await self._attempt()
            if self._lease is None:
                if (self._seen.spec.get("holderIdentity") or self._me) != self._me:
                    raise LeadershipLost(f"{self._seen.spec['holderIdentity']} holds it") from error
                self._lease = before
                raise

    async def _release(self) -> None:
        """Best effort: who cannot give it back has to let it lapse."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._client.update(LEASES, released(lease, time.time()))
        except (Unreachable, StatusError, TimeoutError) as error:
            _log.info("lease not released: %s", error)

    def _tell(self, what: str) -> None:
        where = self._election
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": where.name, "namespace": where.namespace, **_identity_of(self._lease)},
        }
        self._events.event(lease, "Normal", "LeaderElection", f"{self._me} {what}")


def _identity_of(lease: Object | None) -> Object:
    meta = (lease or {}).get("metadata") or {}
    return {key: meta[key] for key in ("uid", "resourceVersion") if key in meta}


async def lead(
    client: Client, election: Election | None, me: str, events: Recorder, work: Callable[[], Awaitable[None]]
) -> None:
    """Run `work` as the leader, or at once where there is no election."""
    if election is None:
        await work()
    else:
        await Elector(client, election, me, events).lead(work)

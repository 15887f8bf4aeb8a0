"""The pods of one node, each in a network namespace: a /32 address, routed over a veth pair, no bridge.

Without a bridge all of a pod's packets pass the node's netfilter rules, those to a pod beside it too. Namespaces are
prepared ahead, address and routes included, so attaching takes one from the pool and writes down whose it is. What a
killed runtime left is found again: a namespace exists once its bind mount does, and that is the last step of preparing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from panal import linux
from panal.tasks import spawn

from .contract import Space
from .netlink import Netlink, inside, new_namespace, open_inside
from .netns import LOOPBACK_INDEX, SYSCTLS, device, link_address, pin, write_sysctls
from .podaddresses import AddressesExhausted, AddressPool, check_sandbox_id

GATEWAY = "169.254.1.1"
"""Every pod's next hop: no one has it, a fixed neighbour entry leads to the node's end of the pair."""
GATEWAY_LINK_ADDRESS = "ee:ee:ee:ee:ee:ee"

POOL = 4
"""Namespaces kept ready: as many pods as usually start on a node at once."""

_log = logging.getLogger(__name__)


class NetnsPodNetwork:
    """Pods of the node in whose network namespace this object is made. State lies in `folder`.

    Its methods may be called in any other: all that it does to the node, it does there.
    """

    def __init__(self, pod_cidr: str, folder: Path, pool: int = POOL) -> None:
        self._node = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._namespaces = folder / "namespaces"
        self._assigned = folder / "assigned"
        for path in (self._namespaces, self._assigned):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._size = pool
        self._spaces: dict[str, str] = {}
        self._ready: deque[str] = deque()
        self._worker: ThreadPoolExecutor | None = None
        self._filling = False
        self._addresses = AddressPool(pod_cidr, self._recover())

    async def attach(self, sandbox_id: str) -> Space:
        check_sandbox_id(sandbox_id)
        if (known := self._spaces.get(sandbox_id)) is not None:
            return self._space(known)
        address = self._ready.popleft() if self._ready else self._prepare(self._addresses.take())
        os.symlink(address, self._assigned / sandbox_id)
        self._spaces[sandbox_id] = address
        self._refill()
        return self._space(address)

    async def detach(self, sandbox_id: str) -> None:
        if (address := self._spaces.pop(sandbox_id, None)) is None:
            return
        await asyncio.get_running_loop().run_in_executor(self._thread(), self._destroy, address)
        (self._assigned / sandbox_id).unlink(missing_ok=True)
        self._addresses.give_back(address)

    async def close(self) -> None:
        """Stop preparing; pods keep what they have."""
        self._filling = True
        if self._worker is not None:
            self._worker.shutdown(wait=True)
        os.close(self._node)

    def _space(self, address: str) -> Space:
        return Space(address, str(self._namespaces / address))

    def _recover(self) -> set[str]:
        """Read what an earlier process left: whose namespace is whose. Returns the addresses of complete ones."""
        for entry in os.scandir(self._assigned):
            self._spaces[entry.name] = os.readlink(entry.path)
        here = self._namespaces.stat().st_dev
        complete = {entry.name for entry in os.scandir(self._namespaces) if os.stat(entry.path).st_dev != here}
        for entry in list(os.scandir(self._namespaces)):
            if entry.name not in complete:
                os.unlink(entry.path)
        for sandbox_id, address in list(self._spaces.items()):
            if address not in complete:
                del self._spaces[sandbox_id]
                (self._assigned / sandbox_id).unlink()
        self._ready.extend(sorted(complete - set(self._spaces.values())))
        return complete

    def _prepare(self, address: str) -> str:
        """A complete namespace for this address. Runs on any thread; leaves nothing when it fails."""
        try:
            namespace = new_namespace()
            try:
                self._configure(address, namespace)
                pin(namespace, self._namespaces / address)
            finally:
                os.close(namespace)
        except BaseException:
            self._addresses.give_back(address)
            raise
        return address

    def _configure(self, address: str, namespace: int) -> None:
        with inside(namespace):
            write_sysctls(SYSCTLS)
            pod = Netlink()
        name = device("p", address)
        with pod, open_inside(self._node) as node:
            node.add_veth(name, GATEWAY_LINK_ADDRESS, "eth0", link_address(address), namespace)
            here = node.index(name)
            node.add_route(address, 32, index=here)
            node.add_neighbour(here, address, link_address(address))
            node.flush()
            eth0 = pod.index("eth0")
            pod.set_up(LOOPBACK_INDEX)
            pod.set_up(eth0)
            pod.add_address(eth0, address, 32)
            pod.add_neighbour(eth0, GATEWAY, GATEWAY_LINK_ADDRESS)
            pod.add_route("0.0.0.0", 0, index=eth0, gateway=GATEWAY, onlink=True)
            pod.flush()

    def _destroy(self, address: str) -> None:
        """Delete the pair first: a namespace may live on in a process that is slow to end, its address may not.

        Off the loop: the kernel takes some 15 ms to be sure that nobody uses the device.
        """
        try:
            with open_inside(self._node) as netlink:
                netlink.delete_link(device("p", address))
                netlink.flush()
        except OSError as error:
            _log.info("%s was gone already: %s", device("p", address), error.strerror)
        path = self._namespaces / address
        try:
            linux.umount(path)
        except OSError as error:
            _log.info("%s was not mounted: %s", path.name, error.strerror)
        path.unlink(missing_ok=True)

    def _refill(self) -> None:
        if not self._filling and len(self._ready) < self._size:
            self._filling = True
            spawn(self._fill(), name="prepare pod networks")

    async def _fill(self) -> None:
        """One namespace at a time, off the loop: making one waits for the kernel's network lock."""
        loop = asyncio.get_running_loop()
        try:
            while len(self._ready) < self._size:
                self._ready.append(await loop.run_in_executor(self._thread(), self._prepare, self._addresses.take()))
        except AddressesExhausted:
            return
        except OSError as error:
            _log.warning("no pod network could be prepared ahead: %s", error)
        finally:
            self._filling = False

    def _thread(self) -> ThreadPoolExecutor:
        """The one thread for what waits in the kernel."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "pod-network")
        return self._worker

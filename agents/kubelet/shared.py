"""What all pod workers of a node use together."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from panal.client import Client
from panal.config import NodeConfig
from panal.events import Recorder
from panal.informer import Informer

from ..runtime.contract import Runtime
from . import podspec
from .admission import ANY
from .dns import Resolv
from .env import service_variables
from .fields import Surroundings
from .handlers import Handlers
from .hostports import HostPorts
from .mounter import Mounter
from .podspec import ContainerSpec, Pod
from .references import References, TokenSource
from .turns import Turns
from .view import RuntimeView

STARTS_AT_ONCE = 4
"""Steps of pods' starts under way on the node: enough to keep two processors busy."""
PATIENCE, CROWDED_PATIENCE = 0.15, 2.0
"""Seconds that a status waits which tells only that a pod is starting: most pods run before, and one write says it
all. While many start at once their starts go first; who looks is told so a little later."""
EVENT_DELAY = 0.1
"""Seconds that an event waits, so that its writing does not stand in the way of the pod it tells about."""


@dataclass
class Shared:
    """The node's services to a pod's worker."""

    config: NodeConfig
    client: Client
    runtime: Runtime
    view: RuntimeView
    mounter: Mounter
    references: References
    tokens: TokenSource
    handlers: Handlers
    recorder: Recorder
    services: Informer
    log_folder: Path
    node_resolv: Resolv
    host_ports: HostPorts
    environ: Mapping[str, str]
    """The kubelet's own environment: it tells bundled programs about the loopback network."""
    turns: Turns = field(default_factory=lambda: Turns(STARTS_AT_ONCE))

    def event(self, pod: Pod, kind: str, reason: str, message: str, spec: ContainerSpec | None = None) -> None:
        path = ""
        if spec is not None:
            path = f"spec.{podspec.field_of(pod, spec['name'])}{{{spec['name']}}}"
        record = functools.partial(self.recorder.event, pod, kind, reason, message, field_path=path)
        asyncio.get_running_loop().call_later(EVENT_DELAY, record)

    def patience(self) -> float:
        """How long a status waits that tells only that a pod is starting."""
        return CROWDED_PATIENCE if self.turns.crowded else PATIENCE

    @property
    def everywhere(self) -> str:
        """The address that stands for all of this node's: of its own network, or in the loopback one just its own."""
        return self.config.node.address if self.config.network == "loopback" else ANY

    def around(self, pod_ip: str) -> Surroundings:
        node = self.config.node
        return Surroundings(pod_ip, node.address, node.name, node.cpu, node.memory)

    def service_env(self, pod: Pod) -> dict[str, str]:
        """The service variables; the API's own are there even before its Service is."""
        if podspec.is_static(pod) and not self.services.has_synced:
            return {}
        first = str(next(ipaddress.ip_network(self.config.service_cidr).hosts()))
        own = {"KUBERNETES_SERVICE_HOST": first, "KUBERNETES_SERVICE_PORT": "443"}
        return {**own, **service_variables(pod, self.services.all())}

    def logs_of(self, pod: Pod) -> Path:
        return self.log_folder / f"{podspec.namespace(pod)}_{podspec.name(pod)}_{podspec.uid(pod)}"

"""From a pod to what the runtime is asked for: SandboxConfig and ContainerConfig. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panal import quantity

from ..runtime.contract import ContainerConfig, Mount, SandboxConfig
from . import podspec
from .dns import Resolv
from .env import ConfigError, expand
from .podspec import ContainerSpec, Pod

HOSTNAME_LIMIT = 63
KERNEL_LIMIT = 64


def hostname(pod: Pod, node_name: str) -> str:
    if podspec.host_network(pod):
        return node_name
    return str(pod["spec"].get("hostname") or podspec.name(pod))[:HOSTNAME_LIMIT].rstrip("-.")


def domain(pod: Pod, cluster_domain: str) -> str:
    """What stands behind the hostname of a pod with a subdomain; empty for others."""
    sub = "" if podspec.host_network(pod) else pod["spec"].get("subdomain") or ""
    return f"{sub}.{podspec.namespace(pod)}.svc.{cluster_domain}" if sub else ""


def seen_hostname(pod: Pod, node_name: str, cluster_domain: str) -> str:
    """What the pod's processes see as their host's name. Raises ConfigError where the kernel has no room for it."""
    short, behind = hostname(pod, node_name), domain(pod, cluster_domain)
    if not (pod["spec"].get("setHostnameAsFQDN") and behind):
        return short
    full = f"{short}.{behind}"
    if len(full) > KERNEL_LIMIT:
        raise ConfigError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long "
            f"({KERNEL_LIMIT} characters is the max, {len(full)} characters requested)"
        )
    return full


def sandbox_config(
    pod: Pod, attempt: int, resolv: Resolv, node_name: str, cluster_domain: str = "", pids_limit: int = -1
) -> SandboxConfig:
    """Raises ConfigError where the pod's name is too long for its processes."""
    spec = pod["spec"]
    short = hostname(pod, node_name)
    return SandboxConfig(
        name=podspec.name(pod),
        namespace=podspec.namespace(pod),
        uid=podspec.uid(pod),
        attempt=attempt,
        hostname=short,
        domain=domain(pod, cluster_domain),
        full_hostname=seen_hostname(pod, node_name, cluster_domain) != short,
        host_network=podspec.host_network(pod),
        share_process_namespace=bool(spec.get("shareProcessNamespace")),
        dns_servers=resolv.servers,
        dns_searches=resolv.searches,
        dns_options=resolv.options,
        host_aliases=[(item["ip"], list(item.get("hostnames") or ())) for item in spec.get("hostAliases") or ()],
        pids_limit=pids_limit if pids_limit > 0 else None,
        labels={**(pod["metadata"].get("labels") or {}), **_pod_labels(pod)},
    )


def _pod_labels(pod: Pod) -> dict[str, str]:
    return {
        "io.kubernetes.pod.name": podspec.name(pod),
        "io.kubernetes.pod.namespace": podspec.namespace(pod),
        "io.kubernetes.pod.uid": podspec.uid(pod),
    }


def container_config(
    pod: Pod,
    spec: ContainerSpec,
    attempt: int,
    env: Mapping[str, str],
    mounts: Sequence[Mount],
    log_path: str,
    target: str | None = None,
) -> ContainerConfig:
    """Raises ConfigError where the pod's security rules forbid the container."""
    security = _security(pod, spec)
    capabilities = security.get("capabilities") or {}
    resources = spec.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return ContainerConfig(
        name=spec["name"],
        image=spec["image"],
        attempt=attempt,
        command=_words(spec.get("command"), env),
        args=_words(spec.get("args"), env),
        working_dir=spec.get("workingDir") or None,
        env=env,
        mounts=mounts,
        log_path=log_path,
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        user=security.get("runAsUser"),
        group=security.get("runAsGroup"),
        supplemental_groups=_groups(pod),
        readonly_rootfs=bool(security.get("readOnlyRootFilesystem")),
        privileged=bool(security.get("privileged")),
        no_new_privileges=security.get("allowPrivilegeEscalation") is False,
        target=target,
        add_capabilities=capabilities.get("add") or (),
        drop_capabilities=capabilities.get("drop") or (),
        memory_limit=quantity.whole(limits["memory"]) if "memory" in limits else None,
        cpu_shares_milli=_milli(requests.get("cpu", limits.get("cpu"))),
        cpu_limit_milli=_milli(limits.get("cpu")),
        labels={
            **_pod_labels(pod),
            "io.kubernetes.container.name": spec["name"],
            podspec.HASH_LABEL: podspec.spec_hash(spec),
        },
    )


def _milli(value: str | None) -> int | None:
    return None if value is None else quantity.milli(value)


def _words(words: Sequence[str] | None, env: Mapping[str, str]) -> list[str] | None:
    """A command with its variables expanded; None keeps the image's."""
    return [expand(word, env) for word in words] if words else None


def _groups(pod: Pod) -> list[int]:
    context = pod["spec"].get("securityContext") or {}
    groups = [int(group) for group in context.get("supplementalGroups") or ()]
    return groups + ([int(context["fsGroup"])] if context.get("fsGroup") is not None else [])


def must_not_be_root(pod: Pod, spec: ContainerSpec) -> bool:
    """Whether the image's own user decides if the container may run."""
    security = _security(pod, spec)
    return bool(security.get("runAsNonRoot")) and security.get("runAsUser") is None


def image_is_root(pod: Pod, spec: ContainerSpec) -> ConfigError:
    return ConfigError(
        "container has runAsNonRoot and image will run as root "
        f'(pod: "{podspec.described(pod)}", container: {spec["name"]})'
    )


def _security(pod: Pod, spec: ContainerSpec) -> dict[str, Any]:
    """The container's securityContext over the pod's."""
    found = {
        key: value
        for key, value in (pod["spec"].get("securityContext") or {}).items()
        if key in ("runAsUser", "runAsGroup", "runAsNonRoot")
    }
    found.update(spec.get("securityContext") or {})
    if found.get("runAsNonRoot") and found.get("runAsUser") == 0:
        raise ConfigError(
            "container's runAsUser breaks non-root policy "
            f'(pod: "{podspec.described(pod)}", container: {spec["name"]})'
        )
    return found

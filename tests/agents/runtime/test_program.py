"""Command lines, environments and rights, as Kubernetes and containerd have them."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.images import ImageSpec
from panal.agents.runtime.contract import ContainerConfig
from panal.agents.runtime.program import (
    DOCKER_CAPABILITIES,
    Program,
    capabilities,
    environment,
    hosts,
    program,
    resolv_conf,
    start_failure,
)
from panal.agents.runtime.syscalls import CAPABILITIES

IMAGE = ImageSpec("docker.io/library/x:latest", ("entry",), ("image-arg",), env={"A": "image", "B": "image"})
PANAL = ImageSpec("docker.io/panal/kube-proxy:v1", ("kube-proxy",), bundled="module:main")


def config(**more: Any) -> ContainerConfig:
    return ContainerConfig("main", "x", **more)


@pytest.mark.parametrize(
    ("command", "args", "line"),
    [
        (None, None, ("entry", "image-arg")),
        (None, ("a",), ("entry", "a")),
        (("c",), None, ("c",)),
        (("c", "d"), ("a",), ("c", "d", "a")),
        ((), (), ("entry", "image-arg")),
    ],
)
def test_command_and_args_replace_as_kubernetes_says(command: Any, args: Any, line: tuple[str, ...]) -> None:
    assert program(IMAGE, config(command=command, args=args)) == Program(line)


def test_a_bundled_program_is_called_and_anything_else_in_its_image_executed() -> None:
    called = Program(("--v=2",), "module:main", "kube-proxy")
    assert program(PANAL, config(args=("--v=2",))) == called
    assert program(PANAL, config(command=("/usr/local/bin/kube-proxy", "--v=2"))) == called
    assert program(PANAL, config(command=("sh",))) == Program(("sh",))


def test_the_environment_comes_from_image_then_container() -> None:
    own = {"PANAL_NETWORK": "loopback", "SECRET": "x", "TZ": "UTC"}
    found = environment(IMAGE, config(env={"B": "mine"}), "web", own, None)
    assert found == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "HOSTNAME": "web",
        "PANAL_NETWORK": "loopback",
        "TZ": "UTC",
        "A": "image",
        "B": "mine",
    }


def test_capabilities() -> None:
    assert set(capabilities(config()) or ()) == set(DOCKER_CAPABILITIES)
    assert capabilities(config(privileged=True)) is None
    assert capabilities(config(drop_capabilities=("ALL",), add_capabilities=("CAP_NET_ADMIN", "kill"))) == (
        "KILL",
        "NET_ADMIN",
    )
    assert capabilities(config(add_capabilities=("ALL",), drop_capabilities=("CHOWN",))) == CAPABILITIES[1:]
    assert capabilities(config(drop_capabilities=("ALL",), add_capabilities=("NONSENSE",))) == ()


def test_the_pods_files() -> None:
    assert (
        resolv_conf(("10.96.0.10",), ("a.b", "b"), ("ndots:5",))
        == "search a.b b\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert resolv_conf((), (), ()) == ""
    assert hosts("10.0.0.1", "web", [("1.2.3.4", ["a", "b"])]) == (
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
        "10.0.0.1\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
    )


def test_a_pod_in_the_nodes_network_is_told_so_in_its_hosts_file() -> None:
    assert hosts("10.0.0.1", "web", [], node=True).startswith("# Kubernetes-managed hosts file (host network).\n127.")


def test_failures_are_told_in_runcs_words() -> None:
    assert start_failure(["x"], 2, "No such file", "exec") == (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        'unable to start container process: error during container init: exec: "x": executable file not found in $PATH'
    )
    assert start_failure(["x"], 1, "mount proc at /proc: denied", "mounts").endswith(
        "container init: mount proc at /proc: denied"
    )

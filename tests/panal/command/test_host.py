"""`panal host`: who this machine is, and whether it is well."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import dns.message
import pytest

from panal.clusterfile import read, resolve
from panal.command.failure import Failure
from panal.command.host import role_of
from panal.command.hostcheck import check, question
from panal.config import Alone, dump
from panal.paths import ClusterPaths

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "miempresa" / "cluster.yaml"
CONFIG = resolve(
    read(EXAMPLE), "-", name=None, nodes=None, network="machine", proxy_mode="userspace", runtime="namespaces"
)


def test_what_a_host_does_follows_from_its_name():
    roles = {name: role_of(CONFIG, name) for name in ("nodo1", "nodoc", "lb", "dns", "menchupc")}
    assert list(roles.values()) == ["control plane", "worker", "loadbalancer", "dns", "client"]
    with pytest.raises(Failure, match="no host called 'zeus'; name one of nodo1, nodoa"):
        role_of(CONFIG, "zeus")


def test_a_machine_without_a_host_is_not_well(tmp_path):
    words, well = check({"PANAL_HOME": str(tmp_path)})
    assert not well
    assert "no host of a cluster runs here" in words


def test_a_host_whose_steward_does_not_answer_is_not_well(tmp_path):
    paths = ClusterPaths.of(tmp_path, "miempresa")
    paths.root.mkdir(parents=True)
    paths.config.write_bytes(dump(dataclasses.replace(CONFIG, alone=Alone("nodoa"))))
    words, well = check({"PANAL_HOME": str(tmp_path)})
    assert not well
    assert "the steward does not answer" in words


def test_the_health_check_imports_next_to_nothing():
    code = "import sys, panal.command.hostcheck; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"click", "asyncio", "yaml", "aiohttp", "ssl", "panal.config"} & set(names)


def test_the_question_of_the_health_check_is_one_that_dns_servers_understand():
    message = dns.message.from_wire(question("lb.miempresa.com", b"\x12\x34"))
    assert (message.id, str(message.question[0])) == (0x1234, "lb.miempresa.com. IN A")

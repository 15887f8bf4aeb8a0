"""docker-compose.yml, Dockerfile and docs/compose.md say the same as the example's cluster.yaml; no engine needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from panal.agents.node.components import hosts
from panal.clusterfile import read, resolve

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
CONFIG = resolve(
    read(ROOT / "examples" / "miempresa" / "cluster.yaml"),
    "-", name=None, nodes=None, network="machine", proxy_mode="netfilter", runtime="namespaces",
)  # fmt: skip
NODES = {node.name for node in CONFIG.nodes}
DOCS = (ROOT / "docs" / "compose.md").read_text()


def test_there_is_one_container_a_host_with_the_hosts_address() -> None:
    found = {name: service["networks"]["lan"]["ipv4_address"] for name, service in SERVICES.items()}
    assert found == dict(hosts(CONFIG))
    assert all(service["hostname"] == name for name, service in SERVICES.items())
    assert len({yaml.safe_dump(service["build"]) + service["image"] for service in SERVICES.values()}) == 1
    (pool,) = DOCUMENT["networks"]["lan"]["ipam"]["config"]
    assert pool["subnet"] == "192.168.0.0/24"
    assert pool["gateway"] not in found.values()


def test_containers_have_what_the_table_of_capabilities_names_and_nothing_is_privileged() -> None:
    told = {name: set(who.split(", ")) for name, who in re.findall(r"^\| `([A-Z_]+)` \| ([a-z, ]+) \|", DOCS, re.M)}
    for name, service in SERVICES.items():
        kind = "nodes" if name in NODES else name
        assert set(service.get("cap_add", ())) == {each for each, who in told.items() if kind in who}, name
        assert service["cap_drop"] == ["ALL"]
        assert not {"privileged", "pid", "ipc", "network_mode", "devices", "user"} & set(service), name
        assert service.get("security_opt", []) == (["apparmor=unconfined"] if name in NODES else []), name


def test_only_this_machine_reaches_what_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert [port.rpartition(":")[2] for port in ports] == ["6443", "80"]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_each_hosts_disk_is_its_own_and_the_shared_folder_is_written_by_the_control_plane_alone() -> None:
    disks = []
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source, target, *mode = volume.split(":")
            if target == "/run/panal/join":
                assert (source, mode) == ("join", [] if name == CONFIG.control_plane.name else ["ro"])
            else:
                assert (source, target) == (name, "/var/lib/panal")
                disks.append(source)
    assert set(DOCUMENT["volumes"]) == {"join", *disks}
    assert disks == [name for name in SERVICES if name != "menchupc"]


def test_menchus_resolver_is_the_companys() -> None:
    assert SERVICES["menchupc"]["dns"] == CONFIG.external_dns.address


def test_the_image_has_a_pinned_version_of_everything_that_panal_needs() -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text(), re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=]", name)[0].lower() for name in project["dependencies"]}
    assert needed <= pinned


@pytest.mark.parametrize("path", re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M))
def test_what_the_image_is_made_of_is_sent_to_the_engine(path: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in path.split():
        assert name.rstrip("*") in allowed
        assert name.endswith("*") or (ROOT / name).exists()


def test_the_health_check_and_the_entry_are_the_command_that_a_user_has() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["panal", "host"]' in text
    assert 'CMD ["python", "-P", "-m", "panal.command.hostcheck"]' in text


def test_the_commands_for_another_network_lead_to_files_that_agree(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "examples" / "miempresa", tmp_path / "examples" / "miempresa")
    commands = re.findall(r"^\$ (sed .+)$", DOCS, re.M)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    document = read(tmp_path / "examples" / "miempresa" / "cluster.yaml")
    config = resolve(
        document, "-", name=None, nodes=None, network="machine", proxy_mode="netfilter", runtime="namespaces"
    )
    services = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())["services"]
    found = {name: service["networks"]["lan"]["ipv4_address"] for name, service in services.items()}
    assert found == dict(hosts(config))
    assert found["nodoa"] == "192.168.77.101"

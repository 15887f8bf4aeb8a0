"""Bare processes: what they are told instead of what they can't have, and how their names resolve."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import pytest

from panal.agents.runtime.contract import ContainerConfig, Mount
from panal.agents.runtime.plain import relocated, site, warnings


def test_what_cannot_be_offered_is_said() -> None:
    asked = ContainerConfig(
        "x", "x", mounts=(Mount("/data", "/d"),), readonly_rootfs=True, add_capabilities=("NET_ADMIN",), user=7
    )
    assert warnings(asked, ["/data/inner"], 1000) == [
        "in the plain runtime volumes are found under $PANAL_ROOT, not at their mountPath (words of the command "
        "and of the environment that name one are adapted): /data",
        "volumes inside other volumes are not shown in the plain runtime: /data/inner",
        "readOnlyRootFilesystem is not enforced in the plain runtime",
        "capabilities are not changed in the plain runtime: programs have those of Panal's own user",
        "runAsUser 7 is not possible in the plain runtime without root: it runs as 1000",
    ]
    assert warnings(ContainerConfig("x", "x", user=1000), [], 1000) == []
    grouped = ContainerConfig("x", "x", group=4321, supplemental_groups=(5,))
    assert warnings(grouped, [], 0) == []
    assert warnings(grouped, [], 1000) == [
        "runAsGroup 4321 is not possible in the plain runtime without root",
        "supplementalGroups and fsGroup have no effect (5): an ordinary user's containers have one group",
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/app/web.py", "/r/app/web.py"),
        ("/app", "/r/app"),
        ("--config=/app/x", "--config=/r/app/x"),
        ("/application", "/application"),
        ("see /app/x", "see /app/x"),
        ("/state/kept", "/state/kept"),
        ("a=/app/x", "a=/app/x"),
    ],
)
def test_words_that_name_a_file_of_a_volume_follow_it(word: str, expected: str) -> None:
    mounts = (Mount("/app", "/d"), Mount("/state", "/state"))
    assert relocated(word, mounts, Path("/r")) == expected


ZONE = {"web.default.svc.cluster.local.": "127.10.1.102", "a.b.c.d.e.example.": "127.1.2.3", "short.": "127.9.9.9"}


@pytest.fixture
def server() -> Iterator[str]:
    """A name server on port 53 of some address of 127/8, or on the port it is shifted to."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((f"127.77.{os.getpid() % 250}.53", 10053))

    def serve() -> None:
        while True:
            packet, peer = bound.recvfrom(4096)
            if packet == b"stop":
                return
            query = dns.message.from_wire(packet)
            answer = dns.message.make_response(query)
            name = query.question[0].name.to_text()
            if name in ZONE:
                answer.answer.append(dns.rrset.from_text(name, 5, "IN", "A", ZONE[name]))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            bound.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield bound.getsockname()[0]
    bound.sendto(b"stop", bound.getsockname())
    thread.join()
    bound.close()


def look_up(root: Path, *names: str) -> list[str]:
    script = (
        "import socket, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)[0][4][0])\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    env = {"PYTHONPATH": site(root / "site"), "PANAL_ROOT": str(root), "PANAL_LOW_PORTS": "shifted"}
    found = subprocess.run([sys.executable, "-c", script, *names], env=env, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_python_programs_resolve_names_as_in_a_pod(tmp_path: Path, server: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "resolv.conf").write_text(
        f"search default.svc.cluster.local svc.cluster.local\nnameserver {server}\noptions ndots:5\n"
    )
    (tmp_path / "etc" / "hosts").write_text("# words\n127.4.4.4\tpod-name other\n")
    names = ("web", "web.default.svc.cluster.local", "a.b.c.d.e.example", "short.", "other", "127.0.0.7", "localhost")
    assert look_up(tmp_path, *names) == [
        "127.10.1.102",
        "127.10.1.102",
        "127.1.2.3",
        "127.9.9.9",
        "127.4.4.4",
        "127.0.0.7",
        "127.0.0.1",
    ]
    assert look_up(tmp_path, "nothing.invalid") == ["gaierror"]


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    env = {"PYTHONPATH": f"{site(tmp_path / 'site')}:{tmp_path}", "PANAL_ROOT": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", "print('main')"], env=env, capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.stderr) == ("mine\nmain\n", "")

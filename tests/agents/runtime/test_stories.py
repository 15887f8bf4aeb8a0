"""What happens to pods' processes, told with real daemons: as root, in a user namespace, and plain."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from panal.addresses import real_port
from panal.agents.runtime import processes
from panal.agents.runtime.contract import (
    ContainerState,
    ImageMissing,
    InvalidImageName,
    Mount,
    NoSuchThing,
    RuntimeFailure,
)

from .conftest import Node, cmdline, environment


async def test_a_container_runs_and_leaves_its_exit_code_and_log(node: Node) -> None:
    container = await node.run("sh", "-c", "echo hola; echo adios >&2; printf 'no end'; exit 3")
    ended = await node.ended(container)
    assert (ended.exit_code, ended.signal, ended.pid, ended.oom_killed) == (3, None, None, False)
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.created_at <= ended.started_at <= ended.finished_at
    lines = node.logs[container].read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] ", line) for line in lines)
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr F adios", "stdout F hola", "stdout P no end"]


async def test_a_program_that_is_not_there_is_told_in_runcs_words(node: Node) -> None:
    for command, code, words in (
        ("no-such-program", 128, 'exec: "no-such-program": executable file not found in $PATH'),
        ("/no/such", 128, 'exec: "/no/such": stat /no/such: no such file or directory'),
        ("/etc/passwd", 128, 'exec: "/etc/passwd": permission denied'),
    ):
        with pytest.raises(RuntimeFailure, match=re.escape(words)):
            await node.run(command)
        [found] = await node.runtime.containers()
        assert (found.state, found.exit_code) == (ContainerState.EXITED, code)
        assert words in found.message
        await node.runtime.remove(found.id)


async def test_stopping_sends_sigterm_and_the_program_may_end_well(node: Node) -> None:
    container = await node.run("sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    await node.said(container, "up")
    await node.runtime.stop(container, 10)
    assert (await node.container(container)).exit_code == 0
    assert node.output(container) == "up\nbye"


async def test_a_program_that_will_not_end_is_killed_after_its_grace(node: Node) -> None:
    container = await node.run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    await node.said(container, "up")
    began = time.monotonic()
    await node.runtime.stop(container, 0.4)
    assert 0.4 <= time.monotonic() - began < 5
    ended = await node.container(container)
    assert (ended.exit_code, ended.signal) == (137, signal.SIGKILL)
    await node.runtime.stop(container, 10)


async def test_what_a_container_started_ends_with_it(node: Node) -> None:
    container = await node.run("sh", "-c", f"sleep {unique('2')} & sleep 0.1; echo started")
    await node.ended(container)
    assert node.output(container) == "started"
    assert running(unique("2")) == []


async def test_a_process_killed_from_outside_is_seen(node: Node) -> None:
    container = await node.run("sleep", unique("1"))
    found = await node.container(container)
    assert found.state is ContainerState.RUNNING
    async with node.runtime.events() as events:
        [pid] = running(unique("1"))
        os.kill(pid, signal.SIGKILL)
        change = await asyncio.wait_for(anext(events), 5)
    assert change.container_id == container
    assert (await node.container(container)).exit_code == 137


async def test_events_tell_starts_and_ends(node: Node) -> None:
    sandbox = await node.pod()
    async with node.runtime.events() as events:
        container = await node.run("true", sandbox=sandbox)
        for _ in range(2):
            change = await asyncio.wait_for(anext(events), 5)
            assert (change.container_id, change.sandbox_id) == (container, sandbox.id)
    assert (await node.ended(container)).exit_code == 0


async def test_the_environment_and_the_working_folder(node: Node) -> None:
    container = await node.run("sh", "-c", "echo $A $HOSTNAME; pwd", env={"A": "b c"}, working_dir="/usr")
    await node.ended(container)
    assert node.output(container) == "b c web\n/usr"


async def test_volumes_are_at_their_paths(node: Node, tmp_path: Path) -> None:
    for name in ("data", "config", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "config" / "key").write_text("value")
    (tmp_path / "file").write_text("one file")
    at = "" if node.namespaces else "$PANAL_ROOT"
    script = f"cat {at}/etc/app/key {at}/etc/one; echo hola > {at}/data/x; ls {at}/var/run/secrets/token"
    mounts = (
        Mount("/etc/app", str(tmp_path / "config"), readonly=True),
        Mount("/data", str(tmp_path / "data")),
        Mount("/etc/one", str(tmp_path / "file"), readonly=True),
        Mount("/var/run/secrets/token", str(tmp_path / "secret")),
    )
    container = await node.run("sh", "-c", script, mounts=mounts)
    ended = await node.ended(container)
    assert (ended.exit_code, node.output(container)) == (0, "valueone file")
    assert (tmp_path / "data" / "x").read_text() == "hola\n"
    assert bool(ended.warnings) != node.namespaces
    if node.namespaces:
        container = await node.run("sh", "-c", "touch /etc/app/new", mounts=mounts)
        assert (await node.ended(container)).exit_code != 0
        assert "Read-only file system" in node.output(container)


async def test_a_mount_that_is_not_there_or_nonsense_is_refused(node: Node, tmp_path: Path) -> None:
    for mount in (
        Mount("/data", str(tmp_path / "nothing")),
        Mount("relative", str(tmp_path)),
        Mount("/", str(tmp_path)),
    ):
        with pytest.raises(RuntimeFailure, match=r"no such file|invalid mount path"):
            await node.run("true", mounts=(mount,))


async def test_hosts_and_resolv_conf_are_the_pods_own(node: Node) -> None:
    sandbox = await node.pod(
        dns_servers=("10.96.0.10",),
        dns_searches=("default.svc.cluster.local",),
        dns_options=("ndots:5",),
        host_aliases=(("1.2.3.4", ("other", "more")),),
    )
    at = "" if node.namespaces else "$PANAL_ROOT"
    container = await node.run("sh", "-c", f"cat {at}/etc/resolv.conf {at}/etc/hosts", sandbox=sandbox)
    await node.ended(container)
    assert node.output(container).startswith(
        "search default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert f"{sandbox.ip}\tweb\n" in node.output(container)
    assert node.output(container).endswith("1.2.3.4\tother\tmore")


async def test_a_container_writes_over_a_copy_of_the_machine(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain processes share the machine's files")
    script = (
        "echo x > /etc/panal-test; mkdir -p /var/lib/panal-test /srv/a /opt/b /run/c; touch /usr/local/bin/t /tmp/u;"
    )
    script += "cat /etc/panal-test"
    container = await node.run("sh", "-c", script)
    assert ((await node.ended(container)).exit_code, node.output(container)) == (0, "x")
    assert not any(
        os.path.exists(path) for path in ("/etc/panal-test", "/var/lib/panal-test", "/srv/a", "/usr/local/bin/t")
    )


async def test_homes_and_panals_own_files_are_hidden_and_python_is_not(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain processes share the machine's files")
    home = os.path.expanduser("~")
    script = f"ls -A {home} {node.paths.root} 2>/dev/null | grep -E 'bash|node|daemon'; ls /home;"
    script += "python3 -c 'import panal, aiohttp; print(1)'"
    container = await node.run("sh", "-c", script, image="python")
    await node.ended(container)
    assert node.output(container).splitlines()[-1] == "1"
    assert "bash" not in node.output(container)
    assert "daemon.log" not in node.output(container)


async def test_a_readonly_root_file_system(node: Node) -> None:
    script = "touch /x /etc/x /tmp/x; echo done"
    container = await node.run("sh", "-c", script, readonly_rootfs=True)
    ended = await node.ended(container)
    if node.namespaces:
        assert node.output(container).count("Read-only file system") == 3
    else:
        assert "readOnlyRootFilesystem is not enforced in the plain runtime" in ended.warnings
        for path in ("/x", "/etc/x", "/tmp/x"):
            Path(path).unlink(missing_ok=True)


async def test_pods_have_their_own_address_and_name(node: Node) -> None:
    one, two = await node.pod("one"), await node.pod("two")
    assert one.ip != two.ip
    if not node.namespaces:
        container = await node.run("sh", "-c", "echo $POD_IP", sandbox=two)
        await node.ended(container)
        assert node.output(container) == two.ip
        return
    for sandbox, name in ((one, "one"), (two, "two")):
        container = await node.run("sh", "-c", "hostname; ip -4 -o addr show eth0", sandbox=sandbox)
        await node.ended(container)
        assert node.output(container).startswith(f"{name}\n")
        assert f" {sandbox.ip}/" in node.output(container)


async def test_a_pod_on_the_hosts_network_has_the_nodes_address(node: Node) -> None:
    sandbox = await node.pod(host_network=True)
    assert sandbox.ip in ("192.168.0.100", "127.168.0.100")
    if node.namespaces:
        container = await node.run("sh", "-c", "test ! -e /sys/class/net/eth0; ls -d /proc/self/net", sandbox=sandbox)
        assert (await node.ended(container)).exit_code == 0


async def test_containers_of_a_pod_share_ipc_and_name_but_not_processes(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain processes share everything")
    sandbox = await node.pod()
    show = "readlink /proc/self/ns/ipc /proc/self/ns/uts; echo $$"
    outputs = []
    for _ in range(2):
        container = await node.run("sh", "-c", show, sandbox=sandbox)
        await node.ended(container)
        outputs.append(node.output(container).splitlines())
    assert outputs[0] == outputs[1]
    assert outputs[0][2] == "1"


async def test_a_shared_process_namespace(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain processes share everything")
    sandbox = await node.pod(share_process_namespace=True)
    first = await node.run("sleep", "3333", sandbox=sandbox)
    second = await node.run("sh", "-c", "ps ax -o args", sandbox=sandbox)
    await node.ended(second)
    assert "sleep 3333" in node.output(second)
    assert "pause" in node.output(second)
    await node.runtime.stop(first, 5)
    assert (await node.container(first)).exit_code == 143
    await node.runtime.stop_sandbox(sandbox.id)


async def test_a_guest_sees_the_processes_of_its_target(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("the plain runtime hides no processes")
    sandbox = await node.pod()
    host = await node.run("sh", "-c", "echo up; exec sleep 1000", sandbox=sandbox)
    await node.said(host, "up")
    guest = await node.run("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline", sandbox=sandbox, target=host)
    await node.ended(guest)
    assert node.output(guest).strip() == "sleep 1000"
    alone = await node.run("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline", sandbox=sandbox)
    await node.ended(alone)
    assert "sleep" not in node.output(alone)


@pytest.mark.parametrize(("forbidden", "effective"), [(False, 0), (True, 1000)])
async def test_a_program_gains_its_owners_rights_unless_the_manifest_forbids_it(
    node: Node, forbidden: bool, effective: int
) -> None:
    if node.kind != "root":
        pytest.skip("an ordinary user has one user id, and plain processes are what they are")
    container = await node.run(
        "nnp", image="registry.k8s.io/e2e-test-images/nonewprivs:1.3", user=1000, no_new_privileges=forbidden
    )
    await node.ended(container)
    assert node.output(container) == f"Effective uid: {effective}"


async def test_no_new_privileges_when_the_manifest_forbids_them(node: Node) -> None:
    container = await node.run("sh", "-c", "grep NoNewPrivs /proc/self/status", no_new_privileges=True)
    await node.ended(container)
    assert node.output(container).split() == ["NoNewPrivs:", "1"]


async def test_run_as_another_user(node: Node) -> None:
    container = await node.run("sh", "-c", "id -u; id -g; echo x > /dev/stderr", user=1000, group=1001)
    ended = await node.ended(container)
    if node.kind == "plain" and os.geteuid() != 0:
        assert any("runAsUser 1000" in warning for warning in ended.warnings)
    else:
        assert node.output(container).split() == ["1000", "1001", "x"]


async def test_a_file_may_be_given_to_anyone_as_root_does(node: Node) -> None:
    if node.kind == "plain" and os.geteuid() != 0:
        pytest.skip("plain processes are this user, who may not")
    give = "at=$(mktemp) && chown 1005:1005 $at && chown 0:0 $at && stat -c %u $at && rm $at"
    container = await node.run("sh", "-c", give)
    await node.ended(container)
    assert node.output(container).split() == ["0"]


async def test_capabilities_are_dockers_unless_asked_otherwise(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain processes keep what they have")
    show = ("sh", "-c", "grep CapEff /proc/self/status | cut -f2")
    for more, mask in (
        ({}, 0x00000000A80425FB),
        ({"drop_capabilities": ("ALL",), "add_capabilities": ("NET_BIND_SERVICE",)}, 1 << 10),
    ):
        container = await node.run(*show, **more)
        await node.ended(container)
        assert int(node.output(container), 16) == mask
    container = await node.run(*show, privileged=True)
    await node.ended(container)
    assert int(node.output(container), 16) & (1 << 21)


async def test_exec_runs_beside_the_container(node: Node) -> None:
    container = await node.run("sleep", "1000", env={"A": "1"})
    result = await node.runtime.exec(container, ["sh", "-c", "echo $A; cat; echo err >&2; exit 5"], stdin=b"fed")
    assert (result.exit_code, result.stdout, result.stderr) == (5, b"1\nfed", b"err\n")
    if node.namespaces:
        assert (await node.runtime.exec(container, ["cat", "/proc/1/comm"])).stdout == b"sleep\n"
    long = await node.runtime.exec(container, ["head", "-c", "300000", "/dev/zero"])
    assert len(long.stdout) == 64 * 1024
    with pytest.raises(RuntimeFailure, match='exec: "nothing": executable file not found'):
        await node.runtime.exec(container, ["nothing"])
    with pytest.raises(TimeoutError):
        await node.runtime.exec(container, ["sleep", "4444"], timeout=0.2)
    async with asyncio.timeout(10):
        while (await node.runtime.usage(container)).processes > 1:  # what timed out was killed, and is on its way out
            await asyncio.sleep(0.01)
    await node.runtime.stop(container, 0)
    with pytest.raises(RuntimeFailure, match="not running"):
        await node.runtime.exec(container, ["true"])


async def test_images_that_cannot_be_had(node: Node) -> None:
    assert await node.runtime.pull("debian:12") == "docker.io/library/debian:12"
    with pytest.raises(ImageMissing, match="not found"):
        await node.runtime.pull("acme/unknown:1")
    with pytest.raises(InvalidImageName):
        await node.run(image="No Image")
    with pytest.raises(NoSuchThing):
        await node.runtime.start("nothing")


@pytest.mark.skipif(
    not os.environ.get("CI") and shutil.which("busybox") is None, reason="needs busybox; CI must have it"
)
async def test_busyboxs_own_programs(node: Node) -> None:
    container = await node.run("sh", "-c", "nslookup --help; ls --help", image="busybox")
    await node.ended(container)
    assert node.output(container).count("BusyBox") == 2


@pytest.mark.skipif(
    not os.environ.get("CI") and shutil.which("busybox") is None, reason="needs busybox; CI must have it"
)
async def test_the_shell_of_busybox_is_busyboxs_by_its_path_too(node: Node) -> None:
    container = await node.run("/bin/sh", "-c", "no-such-word", image="busybox")
    assert (await node.ended(container)).exit_code == 127
    if node.kind != "plain":
        assert node.output(container) == "/bin/sh: no-such-word: not found"


@pytest.mark.skipif(not os.environ.get("CI") and shutil.which("nginx") is None, reason="needs nginx; CI must have it")
async def test_nginx_serves_a_page(node: Node) -> None:
    sandbox = await node.pod()
    container = await node.run(image="nginx:1.25", sandbox=sandbox)
    await node.said(container, "start worker process")
    port = real_port(80, environment(node.kind))
    fetch = f"import urllib.request as u; print(u.urlopen('http://{sandbox.ip}:{port}/', timeout=5).read().decode())"
    result = await node.runtime.exec(container, ["python3", "-c", fetch])
    assert b"Welcome to nginx!" in result.stdout, result
    await node.runtime.stop(container, 10)
    assert (await node.container(container)).exit_code == 0


@pytest.mark.parametrize("victim", ["daemon", "spawner"])
async def test_pods_live_on_when_the_runtime_is_killed(node: Node, victim: str) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    container = await node.run("sh", "-c", script)
    await node.said(container, "5")
    before = await node.container(container)
    await node.kill(victim)
    after = await node.container(container)
    assert (after.pid, after.state, after.started_at) == (before.pid, ContainerState.RUNNING, before.started_at)
    seen = len(node.output(container).splitlines())
    await node.said(container, f"\n{seen + 20}\n")
    assert node.output(container).splitlines() == [str(n + 1) for n in range(len(node.output(container).splitlines()))]
    assert (await node.runtime.exec(container, ["echo", "hola"])).stdout == b"hola\n"
    await node.runtime.stop(container, 0)
    assert (await node.container(container)).exit_code == 137
    again = await node.run("sh", "-c", "exit 4")
    assert (await node.ended(again)).exit_code == 4


async def test_an_adopted_containers_exit_code_is_found(node: Node, tmp_path: Path) -> None:
    go = tmp_path / "volume"
    go.mkdir()
    at = "" if node.namespaces else "$PANAL_ROOT"
    script = f"while ! test -e {at}/go/now; do sleep 0.02; done; exit 6"
    container = await node.run("sh", "-c", script, mounts=(Mount("/go", str(go)),))
    await node.kill("daemon")
    (go / "now").touch()
    assert (await node.ended(container)).exit_code == 6


async def test_an_exit_while_the_runtime_is_away_is_not_lost(node: Node) -> None:
    container = await node.run("sh", "-c", "sleep 0.15; exit 8")
    os.kill(node.daemon().pid, signal.SIGKILL)
    await asyncio.sleep(0.01)
    assert (await node.ended(container)).exit_code == 8


async def test_what_was_written_while_the_runtime_was_away_is_in_the_log(node: Node, tmp_path: Path) -> None:
    go = tmp_path / "volume"
    go.mkdir()
    go.chmod(0o777)
    at = "" if node.namespaces else "$PANAL_ROOT"
    lines = "for i in $(seq 1 500); do echo line $i; done"
    script = f"echo first; while ! test -e {at}/go/now; do sleep 0.02; done; {lines}; touch {at}/go/done; exit 9"
    container = await node.run("sh", "-c", script, mounts=(Mount("/go", str(go)),))
    await node.said(container, "first")
    keeper = processes.read(node.daemon().pid)
    assert keeper is not None
    os.kill(keeper.parent, signal.SIGSTOP)  # so that nobody starts the runtime again
    try:
        os.kill(keeper.pid, signal.SIGKILL)
        (go / "now").touch()
        async with asyncio.timeout(20):
            while not (go / "done").exists():
                await asyncio.sleep(0.02)
    finally:
        os.kill(keeper.parent, signal.SIGCONT)
    assert (await node.ended(container)).exit_code == 9
    assert node.output(container).splitlines() == ["first", *(f"line {i}" for i in range(1, 501))]


async def test_a_sandbox_whose_network_went_with_the_machines_last_life_is_ready_no_more(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("plain pods have no network of their own")
    sandbox = await node.pod()
    container = await node.run("sleep", "5555", sandbox=sandbox)
    pinned = node.paths.node("nodo1").root / "network" / "namespaces" / sandbox.ip
    user = ["--user", "--preserve-credentials"] if node.kind == "user" else []
    enter = ["nsenter", f"--target={node.daemon().pid}", *user, "--mount"]
    unmount = f"from panal import linux; linux.umount({str(pinned)!r})"
    subprocess.run([*enter, sys.executable, "-c", unmount], check=True)
    await node.kill("daemon")
    (found,) = await node.runtime.sandboxes()
    assert (found.id, found.ready) == (sandbox.id, False)
    assert (await node.ended(container)).exit_code == 137
    again = await node.run("true", sandbox=await node.pod("next"))
    assert (await node.ended(again)).exit_code == 0


async def test_an_end_nobody_saw_is_137(node: Node) -> None:
    container = await node.run("sleep", "5555")
    await node.kill("daemon")
    exits = node.paths.root / "exits.jsonl"
    exits.unlink(missing_ok=True)
    exits.mkdir()
    try:
        await node.runtime.stop(container, 0)
    finally:
        exits.rmdir()
    ended = await node.container(container)
    assert (ended.exit_code, ended.signal) == (137, None)
    assert "not known" in ended.message


async def test_removing_everything_leaves_nothing(node: Node, tmp_path: Path) -> None:
    for number in range(3):
        sandbox = await node.pod(f"pod-{number}", share_process_namespace=number == 0)
        await node.run("sleep", unique("3"), sandbox=sandbox)
        await node.run("true", sandbox=sandbox)
    daemon = node.daemon()
    for sandbox in await node.runtime.sandboxes():
        await node.runtime.stop_sandbox(sandbox.id)
    assert not any(found.ready for found in await node.runtime.sandboxes())
    for sandbox in await node.runtime.sandboxes():
        await node.runtime.remove_sandbox(sandbox.id)
        await node.runtime.remove_sandbox(sandbox.id)
    assert (list(await node.runtime.sandboxes()), list(await node.runtime.containers())) == ([], [])
    runtime = node.paths.node("nodo1").runtime
    assert [list((runtime / name).glob("*")) for name in ("sandboxes", "containers", "root")] == [[], [], []]
    mounts = Path(f"/proc/{daemon.pid}/mountinfo").read_text()
    assert str(runtime) not in mounts
    assert running(unique("3")) == []
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) < 40


def unique(number: str) -> str:
    """An argument of sleep that no other process on this machine has."""
    return f"{number}{os.getpid()}00"


def running(argument: str) -> list[int]:
    """The pids of `sleep argument`."""
    wanted = f"sleep\0{argument}\0".encode()
    return [p.pid for p in processes.everyone() if p.state != "Z" and cmdline(p.pid) == wanted]

"""Stories of the fork server: what is started, what is told, and what is never left half alive."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panal.agents.runtime.spawner import Spawner, SpawnerLost, SpawnFailed, SpawnRequest, Step

HERE = str(Path(__file__).parent)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces without a user namespace")


class Exits:
    """Collects exits and lets a test wait for one."""

    def __init__(self, spawner: Spawner) -> None:
        self.codes: dict[int, int] = {}
        self._changed = asyncio.Event()
        spawner.on_exit(self._ended)

    def _ended(self, pid: int, status: int) -> None:
        assert pid not in self.codes
        self.codes[pid] = os.waitstatus_to_exitcode(status)
        self._changed.set()

    async def of(self, pid: int) -> int:
        while pid not in self.codes:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 5)
        return self.codes[pid]


@pytest.fixture
async def exits(spawner: Spawner) -> Exits:
    return Exits(spawner)


async def output(spawner: Spawner, exits: Exits, request: SpawnRequest) -> tuple[int, str]:
    """Exit code and what was written to both outputs."""
    import dataclasses

    reading, writing = os.pipe()
    try:
        pid = await spawner.spawn(dataclasses.replace(request, stdout=writing, stderr=writing))
    finally:
        os.close(writing)
    with os.fdopen(reading, errors="replace") as file:
        text = await asyncio.to_thread(file.read)
    return await exits.of(pid), text


@pytest.fixture(autouse=True)
def _entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


# The fork server is forked by a fixture: it must find `entries` too.
@pytest.fixture
def spawner(_entries: None) -> Iterator[Spawner]:
    made = Spawner.fork_now("test-spawner")
    yield made
    made.close()


async def test_a_program_runs_and_its_exit_code_is_told(spawner: Spawner, exits: Exits) -> None:
    assert await output(spawner, exits, SpawnRequest(["sh", "-c", "echo out; echo err >&2; exit 3"])) == (
        3,
        "out\nerr\n",
    )


async def test_the_environment_is_exactly_the_requests(spawner: Spawner, exits: Exits) -> None:
    assert await output(spawner, exits, SpawnRequest(["/usr/bin/env"], env={"A": "1", "B": "zwei"})) == (
        0,
        "A=1\nB=zwei\n",
    )


async def test_a_python_function_runs_in_the_forked_process(spawner: Spawner, exits: Exits) -> None:
    request = SpawnRequest(["a", "b"], python="entries:hello", env={"GREETING": "hola"})
    code, text = await output(spawner, exits, request)
    assert (code, sorted(text.splitlines())) == (7, ["hello a b hola", "to stderr"])


@pytest.mark.parametrize(
    ("entry", "code", "words"), [("explode", 1, "RuntimeError: boom"), ("leave", 1, "no more"), ("loop", 5, "")]
)
async def test_a_python_function_ends_as_an_interpreter_would(
    spawner: Spawner, exits: Exits, entry: str, code: int, words: str
) -> None:
    got, text = await output(spawner, exits, SpawnRequest([], python=f"entries:{entry}"))
    assert got == code
    assert words in text


async def test_a_forked_python_process_starts_clean(spawner: Spawner, exits: Exits, tmp_path: Path) -> None:
    code, text = await output(spawner, exits, SpawnRequest([], python="entries:signals", cwd=str(tmp_path / "made")))
    assert (code, text) == (0, f"True set()\n[0, 1, 2] True {tmp_path / 'made'}\n")


async def test_ps_shows_the_name_and_arguments_of_a_python_process(spawner: Spawner, exits: Exits) -> None:
    for arguments in (["--bind", "1"], ["--long", "x" * 20000], []):
        reading, writing = os.pipe()
        pid = await spawner.spawn(SpawnRequest(arguments, python="entries:wait", name="kube-apiserver", stdout=writing))
        assert await asyncio.to_thread(os.read, reading, 10) == b"ready\n"
        shown = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
        wanted = " ".join(["kube-apiserver", *arguments])
        assert shown == wanted if len(wanted) < 1000 else wanted.startswith(shown) and len(shown) > 10
        assert Path(f"/proc/{pid}/comm").read_text() == "kube-apiserver\n"
        spawner.signal(pid, signal.SIGTERM)
        assert await exits.of(pid) == 9
        os.close(reading)
        os.close(writing)


async def test_a_signal_ends_a_process_and_the_status_tells_which(spawner: Spawner, exits: Exits) -> None:
    pid = await spawner.spawn(SpawnRequest(["sleep", "60"]))
    spawner.signal(pid, signal.SIGKILL)
    assert await exits.of(pid) == -signal.SIGKILL
    spawner.signal(pid, signal.SIGKILL)  # nobody is hit any more
    assert (await output(spawner, exits, SpawnRequest(["true"])))[0] == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["no-such-program"], errno.ENOENT),
        (["/no/such/program"], errno.ENOENT),
        (["/etc/passwd"], errno.EACCES),
        ([""], errno.ENOENT),
    ],
)
async def test_a_program_that_cannot_run_is_an_error_and_no_exit(
    spawner: Spawner, exits: Exits, argv: list[str], code: int
) -> None:
    with pytest.raises(SpawnFailed) as failure:
        await spawner.spawn(SpawnRequest(argv))
    assert (failure.value.errno, failure.value.stage) == (code, "exec")
    assert (await output(spawner, exits, SpawnRequest(["true"])))[0] == 0
    assert len(exits.codes) == 1


async def test_a_missing_function_is_an_error(spawner: Spawner, exits: Exits) -> None:
    for entry in ("entries:nothing", "no_such_module:main", "nonsense"):
        with pytest.raises(SpawnFailed):
            await spawner.spawn(SpawnRequest([], python=entry))
    assert exits.codes == {}


async def test_a_missing_folder_or_namespace_is_named_in_the_error(spawner: Spawner, exits: Exits) -> None:
    with pytest.raises(SpawnFailed, match="/no/such/netns"):
        await spawner.spawn(SpawnRequest(["true"], netns="/no/such/netns"))
    with pytest.raises(SpawnFailed):
        await spawner.spawn(SpawnRequest(["true"], cwd="/proc/nothing/here"))
    with pytest.raises(SpawnFailed, match=r"cgroup\.procs"):
        await spawner.spawn(SpawnRequest(["true"], cgroups=["/no/such/cgroup"]))


async def test_a_request_larger_than_a_packet_arrives(spawner: Spawner, exits: Exits) -> None:
    env = {f"SERVICE_{number}_HOST": "10.10.1.1" * 10 for number in range(3000)}
    code, text = await output(spawner, exits, SpawnRequest(["/usr/bin/env"], env=env))
    assert (code, len(text.splitlines())) == (0, 3000)


async def test_many_start_at_once_and_each_exit_is_told_once(spawner: Spawner, exits: Exits) -> None:
    pids = await asyncio.gather(*(spawner.spawn(SpawnRequest(["sh", "-c", f"exit {n}"])) for n in range(40)))
    assert [await exits.of(pid) for pid in pids] == list(range(40))


async def test_a_start_is_always_heard_before_its_exit(spawner: Spawner) -> None:
    order: list[str] = []
    done = asyncio.Event()
    spawner.on_exit(lambda pid, status: (order.append("exit"), done.set()))
    for _ in range(10):
        done.clear()
        await spawner.spawn(SpawnRequest(["true"]))
        order.append("start")
        await asyncio.wait_for(done.wait(), 5)
    assert order == ["start", "exit"] * 10


async def test_more_descriptors_and_limits_reach_the_program(spawner: Spawner, exits: Exits, tmp_path: Path) -> None:
    given = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    request = SpawnRequest(["sh", "-c", "echo given >&5; ulimit -n"], fds={5: given}, rlimits={"NOFILE": (123, hard)})
    assert await output(spawner, exits, request) == (0, "123\n")
    assert (tmp_path / "file").read_text() == "given\n"
    os.close(given)
    assert soft != 123


async def test_children_outlive_a_killed_server(spawner: Spawner) -> None:
    lost = asyncio.Event()
    spawner.on_lost(lost.set)
    pid = await spawner.spawn(SpawnRequest(["sleep", "60"]))
    os.kill(spawner.pid, signal.SIGKILL)
    await asyncio.wait_for(lost.wait(), 5)
    os.kill(pid, 0)
    with pytest.raises(SpawnerLost):
        await spawner.spawn(SpawnRequest(["true"]))
    os.kill(pid, signal.SIGKILL)


async def test_the_server_ends_with_its_owner_and_the_children_live_on(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from panal.agents.runtime.spawner import Spawner, SpawnRequest\n"
        "s = Spawner.fork_now()\n"
        "pid = asyncio.run(s.spawn(SpawnRequest(['sleep', '60'])))\n"
        "print(s.pid, pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    words, _ = await process.communicate()
    server, child = map(int, words.split())
    for _ in range(100):
        if not alive(server):
            break
        await asyncio.sleep(0.02)
    assert not alive(server)
    assert alive(child)
    os.kill(child, signal.SIGKILL)


async def test_an_end_that_its_owner_died_of_hearing_is_told_to_whoever_adopts_the_child() -> None:
    script = (
        "import asyncio, os\n"
        "from panal.agents.runtime import syscalls\n"
        "from panal.agents.runtime.spawner import Spawner, SpawnRequest\n"
        "async def own(s):\n"
        "    s.on_exit(lambda pid, status: os.kill(os.getpid(), 9))\n"
        "    await s.spawn(SpawnRequest(['sh', '-c', 'exit 7']))\n"
        "    await asyncio.sleep(30)\n"
        "syscalls.set_child_subreaper()\n"
        "if os.fork() == 0:\n"
        "    asyncio.run(own(Spawner.fork_now()))\n"
        "ends = []\n"
        "while len(ends) < 3:\n"
        "    ends.append(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "print(sorted(ends))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    words, _ = await asyncio.wait_for(process.communicate(), 30)
    assert words == b"[-9, 0, 7]\n"


async def test_nothing_is_left_of_children_that_have_ended(spawner: Spawner, exits: Exits) -> None:
    for pid in [await spawner.spawn(SpawnRequest(["true"])) for _ in range(20)]:
        assert await exits.of(pid) == 0
    async with asyncio.timeout(10):
        while Path(f"/proc/{spawner.pid}/task/{spawner.pid}/children").read_text().split():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@root_only
async def test_new_namespaces_hostname_and_mounts_are_the_childs_alone(spawner: Spawner, exits: Exits) -> None:
    steps = (Step("mount", "/mnt", fstype="tmpfs"), Step("write", "/mnt/greeting", data="hola"))
    request = SpawnRequest(
        ["sh", "-c", "echo $$; hostname; cat /mnt/greeting"],
        new_namespaces=("mnt", "pid", "uts", "ipc"),
        hostname="inside",
        steps=steps,
    )
    before = Path("/proc/self/mountinfo").read_text()
    assert await output(spawner, exits, request) == (0, "1\ninside\nhola")
    assert Path("/proc/self/mountinfo").read_text() == before
    code, text = await output(spawner, exits, SpawnRequest(["sh", "-c", "echo $$"]))
    assert code == 0
    assert text.strip() != "1"


@root_only
async def test_another_process_joins_the_namespaces_of_the_first(spawner: Spawner, exits: Exits) -> None:
    first = await spawner.spawn(SpawnRequest(["sleep", "60"], new_namespaces=("pid", "uts"), hostname="shared"))
    join = {name: f"/proc/{first}/ns/{name}" for name in ("pid", "uts")}
    code, text = await output(spawner, exits, SpawnRequest(["sh", "-c", "echo $$; hostname"], join_namespaces=join))
    assert code == 0
    pid, name = text.split()
    assert (1 < int(pid) < 10, name) == (True, "shared")
    spawner.signal(first, signal.SIGKILL)
    assert await exits.of(first) == -9


@root_only
async def test_capabilities_identity_and_no_new_privs(spawner: Spawner, exits: Exits) -> None:
    show = ["sh", "-c", "id -u; id -g; id -G; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | cut -f2"]
    request = SpawnRequest(show, uid=1234, gid=2345, groups=(7,), capabilities=("CHOWN", "KILL"), no_new_privs=True)
    mask = f"{1 << 0 | 1 << 5:016x}"
    assert await output(spawner, exits, request) == (0, f"1234\n2345\n2345 7\n{0:016x}\n{mask}\n1\n")
    request = SpawnRequest(show, capabilities=("CHOWN", "KILL"))
    _, text = await output(spawner, exits, request)
    assert text.split()[-3:] == [mask, mask, "0"]


@root_only
async def test_a_process_may_see_itself_as_another_user(spawner: Spawner, exits: Exits) -> None:
    request = SpawnRequest(
        ["sh", "-c", "id -u; id -g; grep CapEff /proc/self/status | cut -f2"], show_as=(1000, 1001), capabilities=()
    )
    assert await output(spawner, exits, request) == (0, f"1000\n1001\n{0:016x}\n")


@root_only
async def test_a_root_of_its_own_hides_the_machines(spawner: Spawner, exits: Exits, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    machine = [name for name in ("bin", "lib", "lib64", "sbin") if os.path.islink(f"/{name}")]
    steps = (
        Step("bind", "/usr", source="/.panal-old/usr", readonly=True),
        *(Step("symlink", f"/{name}", source=os.readlink(f"/{name}")) for name in machine),
    )
    request = SpawnRequest(
        ["/bin/sh", "-c", "ls / ; touch /usr/x || echo refused"],
        new_namespaces=("mnt",),
        root=str(tmp_path / "root"),
        steps=steps,
    )
    code, text = await output(spawner, exits, request)
    assert code == 0
    assert text.split()[:-1] == ["bin", "lib", "lib64", "sbin", "usr", *text.split()[5:-1]]
    assert text.endswith("refused\n")

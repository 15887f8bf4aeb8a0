"""A container's root is entered in two ways: by pivot_root, and where Docker's seccomp profile refuses that."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import traceback
from pathlib import Path

import pytest

from panal import linux
from panal.agents.runtime.child import build_root
from panal.agents.runtime.request import OLD_ROOT, Step

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x00050000 | errno.EPERM, 0x7FFF0000


def refuse_pivot_root() -> None:
    """Docker's profile, as far as it matters here: seccomp(2), a filter of four instructions."""
    number = PIVOT_ROOT[os.uname().machine]
    lines = ((LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW))
    program = b"".join(struct.pack("=HBBI", *line) for line in lines)
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, FILTER, ctypes.addressof(header), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(each) for each in arguments)):
            raise OSError(ctypes.get_errno(), "prctl")


def inside(folder: Path, refused: bool) -> dict[str, object]:
    """What a process sees that built its root in namespaces of its own."""
    root = folder / "root"
    root.mkdir()
    (folder / "volume").mkdir()
    (folder / "volume" / "hello").write_text("hola")
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare(linux.CLONE_NEWNS | (linux.CLONE_NEWUSER if uid else 0))
            if uid:
                linux.map_user(uid, gid)
            linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
            if refused:
                refuse_pivot_root()
            build_root(
                str(root),
                (
                    Step("mkdir", "/etc"),
                    Step("bind", "/usr", source=f"{OLD_ROOT}/usr", readonly=True),
                    Step("bind", "/volume", source=f"{OLD_ROOT}{folder}/volume"),
                    Step("write", "/etc/hostname", data="web\n"),
                ),
            )
            answer: dict[str, object] = {
                "root": sorted(os.listdir("/")),
                "hostname": Path("/etc/hostname").read_text(),
                "volume": Path("/volume/hello").read_text(),
                "up": sorted(os.listdir("/..")),
                "old": os.path.exists(str(folder)),
                "readonly": bool(os.statvfs("/usr").f_flag & os.ST_RDONLY),
            }
        except BaseException:
            answer = {"error": traceback.format_exc()}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        found: dict[str, object] = json.loads(file.read())
    os.waitpid(child, 0)
    return found


@pytest.mark.parametrize("refused", [False, True], ids=["pivot_root", "pivot_root refused"])
def test_a_container_sees_its_own_root_and_nothing_of_the_machines(tmp_path: Path, refused: bool) -> None:
    if refused and os.uname().machine not in PIVOT_ROOT:
        pytest.skip("the number of pivot_root on this machine is not written here")
    found = inside(tmp_path, refused)
    if "unshare" in str(found.get("error")):
        pytest.skip("this machine allows no such namespaces")
    names = ["etc", "usr", "volume"]
    assert found == {
        "root": names, "hostname": "web\n", "volume": "hola", "up": names, "old": False, "readonly": True,
    }  # fmt: skip

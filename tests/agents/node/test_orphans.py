"""Whatever ends without a parent is reaped, and how it ended is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from panal.agents.node.orphans import FILE, start_ticks

STORY = """
import json, os, sys
from pathlib import Path
from panal import linux
from panal.agents.node.orphans import reap, start_ticks
linux.become_subreaper()
read, write = os.pipe()
mine = os.fork()
if mine == 0:
    orphan = os.fork()
    if orphan == 0:
        os.close(read)
        os._exit(7)
    os.write(write, json.dumps([orphan, start_ticks(orphan)]).encode())
    os._exit(0)
os.close(write)
told = json.loads(os.read(read, 100))
os.waitid(os.P_PID, mine, os.WEXITED | os.WNOWAIT)
while True:
    reap(Path(sys.argv[1]), lambda pid, status: pid == mine)
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        break
print(json.dumps(told))
"""


def test_an_orphans_exit_code_is_written_with_its_start_and_a_claimed_ones_is_not(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STORY, tmp_path], capture_output=True, text=True, check=True, timeout=30
    )
    orphan, start = json.loads(done.stdout)
    [line] = (tmp_path / FILE).read_text().splitlines()
    entry = json.loads(line)
    assert (entry["pid"], entry["start"], os.waitstatus_to_exitcode(entry["status"])) == (orphan, start, 7)
    assert entry["time"] > 0
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_start_of_a_process_is_known_and_that_of_nobody_is_not():
    assert start_ticks(os.getpid()) == start_ticks(os.getpid()) is not None
    assert start_ticks(2**22 + 1) is None

"""The process that components are forked from: its two spawners, and what they have imported."""

from __future__ import annotations

import subprocess
import sys

STORY = """
import asyncio, json, os, sys
from panal.agents.node import zygote
from panal.agents.runtime.request import SpawnRequest
from panal.agents.runtime.spawner import Spawner

def loaded(argv):
    with open(1, "w", closefd=False) as out:
        print(json.dumps([name in sys.modules for name in argv]), file=out, flush=True)
    return 0

async def ask(spawner, number):
    ended = asyncio.Event()
    spawner.on_exit(lambda pid, status: ended.set())
    names = ["panal.agents.kubelet.__main__", "panal.proxy.services.__main__", "panal.agents.node.bringup"]
    await spawner.spawn(SpawnRequest(argv=names, python="story:loaded", stdout=1, stderr=2))
    await ended.wait()

async def main(found):
    early, whole = Spawner(found.early, -1), Spawner(found.connection, found.pid)
    await ask(early, 0)
    await ask(whole, 1)
    early.close()
    await ask(whole, 2)
    async with asyncio.timeout(10):  # the early one has ended, and nothing is left of it
        while open(f"/proc/{found.pid}/task/{found.pid}/children").read().split():
            await asyncio.sleep(0.02)
    whole.close()

if __name__ == "__main__":
    print(sorted(k for k in os.environ if k.startswith("SSL_")), flush=True)
    asyncio.run(main(zygote.fork()))
"""


def test_the_early_spawner_has_the_control_planes_modules_and_the_other_all(tmp_path):
    (tmp_path / "story.py").write_text(STORY)
    done = subprocess.run(
        [sys.executable, "story.py"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[]", "[true, false, false]", "[true, true, true]", "[true, true, true]"]
    assert done.stderr == ""

"""Tasks that are kept and whose failures are heard; a process that ends on a signal."""

import asyncio
import logging
import os
import signal
import subprocess
import sys

import pytest

from panal import tasks


async def test_a_failing_task_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("why")

    with caplog.at_level(logging.ERROR):
        task = tasks.spawn(fail(), name="the-worker")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert "task the-worker failed" in caplog.text
    assert "why" in caplog.text


PROGRAM = """
import asyncio, sys
from panal import tasks
async def main():
    try:
        print("up", flush=True)
        await asyncio.sleep(60)
    finally:
        print("cleaned", flush=True)
sys.exit(tasks.run_until_signal(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_cleanly(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, number)
    rest, _ = process.communicate(timeout=10)
    assert rest == "cleaned\n"
    assert process.returncode == 0

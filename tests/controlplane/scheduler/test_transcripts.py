"""Scheduling cases as transcripts in tests/testdata/scheduler: what happens, and, after `>`, what the scheduler does.

PANAL_REWRITE=1 writes what is so now; look at the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from .test_scheduler import World, moment

FOLDER = Path(__file__).parents[2] / "testdata" / "scheduler"


async def played(lines: list[str]) -> list[str]:
    """The transcript with what the scheduler does now after each thing that happens."""
    world, told = World(), list[str]()
    seen = [0, 0, 0]
    async with world.running():
        for line in lines:
            if not line.startswith(">"):
                told.append(line)
            if not line or line.startswith(("#", ">")):
                continue
            verb, name, *rest = line.split(" ", 2)
            getattr(world, verb)(name, **(yaml.safe_load(rest[0]) if rest else {}))
            await moment()
            done = world.binder
            told += [f"> bound {pod} to {node}" for pod, node in done.bound[seen[0] :]]
            told += [f"> {text}" for text in done.said[seen[1] :]]
            told += [f"> evicted {victim} for {pod}" for victim, pod in done.evicted[seen[2] :]]
            seen = [len(done.bound), len(done.said), len(done.evicted)]
    return told


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
async def test_as_written(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    written = path.read_text().splitlines()
    found = await played(written)
    if os.environ.get("PANAL_REWRITE"):
        path.write_text("\n".join(found) + "\n")
    else:
        assert found == written

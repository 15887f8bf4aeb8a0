"""Running a story in network namespaces of its own, in a process that is thrown away."""

from __future__ import annotations

import asyncio
import os
import pickle
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from panal import linux
from panal.agents.network.capability import probe

Story = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="session")
def capability() -> Any:
    return probe(os.environ)


@pytest.fixture
def inside(capability: Any) -> Callable[[Story], Any]:
    """`inside(story)` runs the coroutine function in new user, network and mount namespaces; its result comes back."""
    if capability.namespaces is not None:
        pytest.skip(capability.namespaces)
    return _run


def _run(story: Story) -> Any:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            uid, gid = os.geteuid(), os.getegid()
            kinds = linux.CLONE_NEWNET | linux.CLONE_NEWNS
            if uid == 0:
                linux.unshare(kinds)
            else:
                linux.unshare(kinds | linux.CLONE_NEWUSER)
                linux.map_user(uid, gid)
            linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
            answer = (True, asyncio.run(story()))
        except BaseException:
            answer = (False, traceback.format_exc())
        os.close(read)
        os.write(write, pickle.dumps(answer))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        good, value = pickle.loads(file.read())
    os.waitpid(child, 0)
    assert good, value
    return value

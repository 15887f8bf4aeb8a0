"""Running a function in the network of a host, a node or a pod: in a child, because there is no way back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..failure import Failure

_LIMIT = 1 << 20


@contextlib.contextmanager
def within(enter: Callable[[], None], function: Callable[[], Any]) -> Iterator[Any]:
    """What `function` returns, after `enter`. The child lives, and keeps what it opened, until the block ends.

    Raises Failure with the child's words.
    """
    reading, writing = os.pipe()
    waiting, ending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(ending)
        _work(enter, function, writing, waiting)
    os.close(writing)
    os.close(waiting)
    try:
        with os.fdopen(reading, "rb") as stream:
            said = json.loads(stream.read(_LIMIT) or b'{"failure": "it ended without a word"}')
        if "failure" in said:
            raise Failure(said["failure"])
        yield said["result"]
    finally:
        os.close(ending)
        os.waitpid(child, 0)


def _work(enter: Callable[[], None], function: Callable[[], Any], writing: int, waiting: int) -> None:
    try:
        try:
            enter()
            said = {"result": function()}
        except (Failure, OSError, ValueError) as error:
            said = {"failure": str(error)}
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(said).encode())
        os.read(waiting, 1)
    finally:
        os._exit(0)

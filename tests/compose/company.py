"""What the stories ask of the company in containers."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine import Engine

T = TypeVar("T")
HOST = "web1.miempresa.com"
PAGE = re.compile(r"Visit (\d+): (\S+) on (\S+) answers")
FETCH = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
connection.request("GET", "/", headers={"Host": sys.argv[1]})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


def until(check: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first truthy answer."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, OSError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:.0f} s: {what}; last: {last!r}")


@dataclass(frozen=True)
class Visit:
    number: int
    replica: str
    node: str


@dataclass
class Company:
    engine: Engine
    kubeconfig: Path

    def browse(self, host: str = HOST) -> Visit:
        """What the machine's browser gets on the published port."""
        text = self.engine.on_the_machine(sys.executable, "-c", FETCH, host)
        found = PAGE.search(text)
        assert found is not None, text
        return Visit(int(found[1]), found[2], found[3])

    def page_answers(self, seconds: float = 90) -> Visit:
        return until(self.browse, seconds=seconds, what="the page through the published port")

    def kubectl(self, *words: str, check: bool = True) -> str:
        return self.engine.on_the_machine("kubectl", f"--kubeconfig={self.kubeconfig}", *words, check=check)

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def ready_nodes(self) -> set[str]:
        return {
            node["metadata"]["name"]
            for node in self.get("nodes")["items"]
            if any(item["type"] == "Ready" and item["status"] == "True" for item in node["status"]["conditions"])
        }

    def exec(self, host: str, *words: str, check: bool = True) -> str:
        return self.engine.compose("exec", "-T", host, *words, check=check)

    def health(self) -> dict[str, str]:
        """What Docker says of each container's health."""
        return {
            name: found["State"]["Health"]["Status"]  # type: ignore[index]
            for name, found in self.engine.containers().items()
        }

    def all_healthy(self) -> bool:
        return set(self.health().values()) == {"healthy"}

    def wait_until_well(self, seconds: float = 120) -> None:
        until(self.all_healthy, seconds=seconds, what="every container healthy")
        self.page_answers()


@contextlib.contextmanager
def up(docker: Engine) -> Iterator[Company]:
    """Start, wait until it is well; at the end nothing is left of it. A failure tells the containers' logs."""
    docker.compose("up", "-d", timeout=120)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = Company(docker, Path(folder) / "kubeconfig")
            text = until(
                lambda: docker.compose("exec", "-T", "nodo1", "panal", "kubeconfig", check=False),
                seconds=60, what="the kubeconfig",
            )  # fmt: skip
            found.kubeconfig.write_text(text)
            try:
                found.wait_until_well()
                yield found
            finally:
                sys.stdout.write(docker.compose("logs", "--no-color", "--tail=60", check=False))
                sys.stdout.write(docker.docker("ps", "-a", check=False))
    finally:
        docker.compose("down", "--volumes", "--timeout=5", check=False)

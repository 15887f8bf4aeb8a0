"""Traces, and what they must say."""

from __future__ import annotations

import json
import re
from typing import Any

from harness import Cluster


class Trace:
    """What `panal trace --json` told."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        done = cluster.panal("trace", "--json", *arguments, check=False)
        self.code, self.words = done.returncode, done.stdout + done.stderr
        self.told: Any = json.loads(done.stdout)
        self.failed: Any = self.told["failed"]

    @property
    def steps(self) -> list[str]:
        return [hop["step"] for hop in self.told["hops"]]

    def hop(self, step: str, number: int = 0) -> Any:
        found = [hop for hop in self.told["hops"] if hop["step"] == step]
        assert len(found) > number, self.words
        return found[number]

    @property
    def answered_by(self) -> str:
        """The pod that the page itself names."""
        match = re.search(r"wp-\S+", self.hop("answer")["text"])
        assert match, self.words
        return match.group()

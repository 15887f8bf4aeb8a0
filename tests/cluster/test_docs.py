"""The documents, word by word: every command of a `console` block is run, and prints what the document shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import follow
import harness
import pytest

from panal.command.lesson.readme import parse

DOCS = (
    "docs/getting-started.md",
    "docs/operations.md",
    "docs/security.md",
    "examples/miempresa/README.md",
    "examples/miempresa/README.es.md",
)
"""Those that start from nothing, and run all they show; by default the QUICK ones, all with PANAL_TEST_ALL=1."""
QUICK = ("docs/getting-started.md", "examples/miempresa/README.md")
WITH_MIEMPRESA = ("docs/network.md", "README.md", "README.es.md")
"""Those that look at the company of the picture."""
BLOCK = re.compile(r"^(?:<!-- (elsewhere|lesson): (\S+) -->\n+)?```(\w*)\n(.*?)^```$", re.S | re.M)
SHELLS = ("sh", "bash", "shell")
ALL = pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 takes minutes more")


def documents() -> list[Path]:
    found = [harness.ROOT / name for name in ("README.md", "README.es.md", "CONTRIBUTING.md")]
    return [*found, *sorted((harness.ROOT / "docs").glob("*.md")), *sorted((harness.ROOT / "examples").rglob("*.md"))]


def followed(user: harness.User, document: str) -> None:
    words = [sys.executable, str(Path(follow.__file__)), document]
    done = user.run(words, check=False, timeout=540)
    for name in ("panal", "miempresa"):
        user.panal("down", "--name", name, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


@pytest.mark.parametrize("document", [name if name in QUICK else pytest.param(name, marks=ALL) for name in DOCS])
def test_a_document_can_be_followed_word_by_word(document: str) -> None:
    with harness.a_user("ordinary") as user:
        followed(user, document)


@ALL
@pytest.mark.parametrize("document", WITH_MIEMPRESA)
def test_what_a_document_shows_of_the_company_is_so(document: str) -> None:
    with harness.a_cluster(
        harness.variants()[0], "miempresa", "--config", str(harness.ROOT / "examples/miempresa/cluster.yaml")
    ) as cluster:
        cluster.kubectl("apply", "-f", str(harness.ROOT / "examples" / "miempresa" / "manifests"))
        for name in ("mariadb", "wp"):
            cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
        cluster.kubectl("rollout", "status", "deployment/ingress", "-n", "ingress", "--timeout=60s")
        words = [sys.executable, str(Path(follow.__file__)), document]
        done = cluster.user.run(words, check=False, timeout=400)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_every_command_that_a_document_shows_is_run_by_a_test() -> None:
    """A block of commands is followed, belongs to a lesson, or names the file that runs it, which is there."""
    missing = []
    for path in documents():
        name = os.fspath(path.relative_to(harness.ROOT))
        lesson = name.startswith("examples/") and bool(parse(path.read_text()).steps)
        for _, where, kind, body in BLOCK.findall(path.read_text()):
            commands = [line for line in body.splitlines() if kind in SHELLS or re.match(r"[$#] \w", line)]
            if where and not (harness.ROOT / where).exists():
                missing.append(f"{name}: {where} is not there")
            if not commands or where:
                continue
            if kind != "console" or (name not in (*DOCS, *WITH_MIEMPRESA) and not lesson):
                missing.append(f"{name}: {commands[0]}")
    assert not missing, "\n".join(missing)

"""docs/operations.md, *Upgrade*: a cluster of an earlier checkout goes on under today's code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 makes two environments"),
    pytest.mark.timeout(540),
]
COMMITS_BACK = 25
BLOCK = re.compile(r"<!-- elsewhere: tests/cluster/test_upgrade\.py -->\n+```console\n(.*?)```", re.S)


def git(*words: str, at: Path = harness.ROOT) -> str:
    command = ["git", "-c", "safe.directory=*", "-c", "advice.detachedHead=false", *words]
    return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout() -> Iterator[tuple[harness.User, Path]]:
    """A user with a checkout of some time ago, whose `git pull` brings what is committed here."""
    try:
        earlier = git("rev-parse", f"HEAD~{COMMITS_BACK}")
    except subprocess.CalledProcessError:
        pytest.skip("this checkout's history is too short")
    with harness.a_user("ordinary") as user:
        git("clone", "-q", "--bare", str(harness.ROOT), str(user.home / "origin"))
        git("branch", "-f", "trunk", git("rev-parse", "HEAD"), at=user.home / "origin")
        place = user.home / "checkout"
        git("clone", "-q", "-b", "trunk", str(user.home / "origin"), str(place))
        git("reset", "-q", "--hard", earlier, at=place)
        for path in (user.home, *user.home.rglob("*")):
            os.chown(path, user.uid, user.uid if os.geteuid() == 0 else -1, follow_symlinks=False)
        yield user, place


def test_a_cluster_is_upgraded_as_the_document_says(checkout: tuple[harness.User, Path]) -> None:
    user, place = checkout
    (block,) = BLOCK.findall((harness.ROOT / "docs" / "operations.md").read_text())
    commands = [line.removeprefix("$ ") for line in block.splitlines()]
    assert len(commands) == 3
    path = os.pathsep.join([f"{place}/.venv/bin", f"{place}/.tools/bin", os.environ["PATH"]])
    kubectl = shutil.which("kubectl")
    assert kubectl is not None

    def sh(line: str, seconds: float = 200) -> str:
        words = ["env", f"--chdir={place}", f"PATH={path}", "bash", "-ec", line]
        return user.run(words, timeout=seconds).stdout

    sh("make setup")
    sh("panal up")
    try:
        sh(f"{kubectl} create configmap kept --from-literal=word=honey")
        sh(f"{kubectl} create deployment web --image=nginx --replicas=2 && {kubectl} rollout status deployment/web")
        before = sh(f"{kubectl} get configmap kept -o jsonpath='{{.metadata.uid}}'")
        for line in commands:
            sh(line)
        assert git("rev-parse", "HEAD", at=place) == git("rev-parse", "HEAD")
        assert sh(f"{kubectl} get configmap kept -o jsonpath='{{.metadata.uid}}'") == before
        sh(f"{kubectl} rollout status deployment/web --timeout=60s")
        sh(f"{kubectl} rollout status -n kube-system deployment/coredns --timeout=60s")
        sh(f"{kubectl} wait --for=condition=Ready pod --all -A --timeout=60s")
        found = harness.until(
            lambda: sh("panal shell menchupc -- curl -s -o /dev/null -w '%{http_code}' http://192.168.0.101:30880/")
        )
        assert found == "404"  # the ingress controller answers, and has no rule for that
    finally:
        sh("panal down || true")

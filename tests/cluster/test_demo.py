"""The demo, run as a user runs it; and what README.md and the example's README tell to type."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, User, a_user, alive_of, loopback_turn, variants

USERS = sorted({variant.user for variant in variants()})
ANSWER = re.compile(r"Visit (\d+): (wp-\S+) on nodo[abc] answers\.")


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    with a_user(request.param) as someone:
        yield someone
        someone.panal("down", "--name", "miempresa", check=False)
        assert alive_of(someone.uid, str(someone.home)) == []


def test_make_demo_shows_the_request_crossing_everything(user: User) -> None:
    shown = user.run(["make", "-s", "demo"], timeout=150).stdout
    assert "4 nodes Ready" in shown
    assert len(re.findall(r"nodo[1abc] +Ready", shown)) >= 4
    assert re.search(r"10\.10\.1\.102:8080 +\(wp-service\) +-> (10\.10\.0\.\d+:8000( \| )?){3} +\(round robin\)", shown)
    answers = ANSWER.findall(shown)
    counts = [int(count) for count, _ in answers]
    assert len(answers) == 9, shown
    assert counts == list(range(counts[0], counts[0] + 9))
    assert len({replica for _, replica in answers}) == 3
    assert "What to try next" in shown
    down = user.run(["make", "-s", "demo-down"])
    assert "gone" in down.stdout


def test_the_demo_works_without_kubectl_and_says_so(user: User, tmp_path: Path) -> None:
    programs = user.home / "bin"
    programs.mkdir()
    for name in ("sh", "setpriv", "env"):
        (programs / name).symlink_to(shutil.which(name) or name)
    bare = User(user.uid, user.home, {"PATH": str(programs)})
    shown = bare.run([str(ROOT / ".venv/bin/python"), "examples/miempresa/demo.py", "--down"], timeout=150).stdout
    assert "kubectl is not installed here" in shown
    assert len(ANSWER.findall(shown)) == 9, shown


@pytest.mark.xdist_group("loopback")
def test_the_demo_works_where_namespaces_are_refused(user: User) -> None:
    demo = [str(ROOT / ".venv/bin/python"), "examples/miempresa/demo.py", "--network", "loopback", "--down"]
    with loopback_turn():
        shown = user.run(demo, timeout=150).stdout
    assert "MenchuPC is this machine" in shown
    answers = ANSWER.findall(shown)
    assert len(answers) == 9, shown
    assert len({replica for _, replica in answers}) == 3
    assert re.search(r"127\.10\.1\.102:8080 +\(wp-service\) +-> (127\.10\.0\.\d+:8000( \| )?){3}", shown)

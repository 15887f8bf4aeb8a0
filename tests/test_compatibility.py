"""docs/compatibility.md says what the code and the collected differences say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from panal.acting import ACTS
from panal.resources import all_resources

ROOT = Path(__file__).resolve().parent.parent


def test_the_document_is_generated_from_what_is_true_now() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "compatibility.py"), "--check"]
    assert subprocess.run(script, cwd=ROOT).returncode == 0, "run `make compatibility`"


def test_who_acts_is_told_of_resources_that_there_are() -> None:
    assert set(ACTS) - {item.group_resource for item in all_resources()} == set()


@pytest.mark.kubectl
@pytest.mark.skipif(not os.environ.get("CI") and shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_every_verb_of_kubectl_is_told_of() -> None:
    text = subprocess.run(["kubectl", "--help"], capture_output=True, text=True, check=True).stdout
    verbs = set(re.findall(r"^  ([a-z-]+) {2,}\S", text, re.MULTILINE))
    known = yaml.safe_load((ROOT / "docs" / "differences" / "kubectl.yaml").read_text())
    assert verbs - set(known) == set()

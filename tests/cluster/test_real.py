"""The real WordPress, MariaDB and NGINX: the demonstration with all its stories, each of which checks itself."""

from __future__ import annotations

import os
import sys

import harness
import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("PANAL_TEST_REAL"), reason="PANAL_TEST_REAL=1 (make test-real) starts the real applications"
)

DEMO = harness.ROOT / "examples" / "miempresa" / "real" / "demo.py"


@pytest.mark.parametrize("kind", ["root", "ordinary"])
def test_the_company_runs_its_real_applications_through_all_stories(kind: str) -> None:
    if kind == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    with harness.a_user(kind) as user:
        done = user.run([sys.executable, str(DEMO), "--down"], check=False, timeout=540)
        try:
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
            for words in (
                "through the load balancer: read",
                "Option 1 is broken",
                "never restarted",
                "has removed the pods that were replaced",
            ):
                assert words in done.stdout
            assert not (user.home / "panal" / "miempresa-real").exists()
        finally:
            user.panal("down", "--name", "real", check=False)

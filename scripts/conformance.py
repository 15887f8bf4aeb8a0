"""Runs Kubernetes' own conformance tests against a cluster of its own and says which passed: `make conformance`.

    conformance.py [--focus REGEX] [--nodes N]

scripts/conformance.sh has built the suite. The suite is of 1.20: what it waits for that newer clusters no longer make
is made here: a token Secret for every ServiceAccount. Its own kubectl is of 1.20 too.
docs/conformance.md has the results.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from panal.client import Client
from panal.errors import StatusError
from panal.informer import Applied, Informer
from panal.resources import resource

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(os.environ.get("TOOLS") or ROOT / ".tools")
PLACE = TOOLS / "conformance"
CLUSTER = "conformance"
ACCOUNTS, SECRETS = resource("serviceaccounts"), resource("secrets")

SERIAL = r"\[Serial\]|\[Disruptive\]"


async def give_tokens(kubeconfig: str) -> None:
    """What the token controller did until 1.23: the suite waits for it in every namespace it makes."""
    async with Client.from_kubeconfig(kubeconfig, user_agent="conformance") as client:
        without: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def seen(event: object) -> None:
            if isinstance(event, Applied) and not event.new.get("secrets"):
                without.put_nowait((event.new["metadata"]["namespace"], event.new["metadata"]["name"]))

        informer = Informer(client, ACCOUNTS)
        informer.subscribe(seen)
        async with asyncio.TaskGroup() as group:
            group.create_task(informer.run())
            while True:
                namespace, name = await without.get()
                if namespace != "default" and not namespace.startswith("kube-"):
                    with contextlib.suppress(StatusError):
                        await _give(client, namespace, name)


async def _give(client: Client, namespace: str, name: str) -> None:
    metadata = {
        "name": f"{name}-token-{secrets.token_hex(3)}",
        "namespace": namespace,
        "annotations": {"kubernetes.io/service-account.name": name},
    }
    secret = {"type": "kubernetes.io/service-account-token", "metadata": metadata}
    await client.create(SECRETS, secret, namespace)
    await client.patch(ACCOUNTS, name, {"secrets": [{"name": metadata["name"]}]}, namespace)


@contextlib.contextmanager
def running(panal: str) -> Iterator[Path]:
    """A cluster; the path of its kubeconfig."""
    subprocess.run([panal, "up", "--name", CLUSTER], check=True)
    try:
        kubeconfig = PLACE / "kubeconfig"
        found = subprocess.run([panal, "kubeconfig", "--name", CLUSTER], check=True, capture_output=True)
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_bytes(found.stdout)
        giving = subprocess.Popen([sys.executable, __file__, "--give-tokens", str(kubeconfig)])
        try:
            yield kubeconfig
        finally:
            giving.kill()
            giving.wait()
    finally:
        subprocess.run([panal, "down", "--name", CLUSTER], check=True)


def run(kubeconfig: Path, focus: str, skip: str, nodes: int, report: Path) -> None:
    """One run of ginkgo; its results are JUnit files in `report`."""
    source = PLACE / "go/src/k8s.io/kubernetes"
    taints = "node-role.kubernetes.io/control-plane,node-role.kubernetes.io/master"
    ginkgo: list[str | Path] = [
        PLACE / "ginkgo",
        f"-nodes={nodes}",
        "-focus",
        focus,
        "-skip",
        skip,
        "-noColor",
        PLACE / "e2e.test",
        "--",
    ]
    options = {
        "kubeconfig": kubeconfig, "provider": "local", "repo-root": source, "kubectl-path": PLACE / "kubectl",
        "report-dir": report, "disable-log-dump": "true", "non-blocking-taints": taints,
        "node-schedulable-timeout": "30s", "system-pods-startup-timeout": "30s",
    }  # fmt: skip
    arguments = [f"-{name}={value}" for name, value in options.items()]
    report.mkdir(parents=True)
    with (report / "log").open("wb") as log:
        subprocess.run([*ginkgo, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False)


def results(folder: Path) -> dict[str, bool]:
    """What ran, by name, and whether it passed."""
    found: dict[str, bool] = {}
    for file in sorted(folder.glob("*/junit_*.xml")):
        for case in ElementTree.parse(file).getroot().iter("testcase"):
            if case.find("skipped") is None:
                found[case.attrib["name"]] = case.find("failure") is None
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--focus", default=r"\[Conformance\]", help="specs whose names match this (a Go regexp)")
    parser.add_argument("--nodes", type=int, default=4, help="specs at a time")
    parser.add_argument("--give-tokens", metavar="KUBECONFIG", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.give_tokens:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(give_tokens(options.give_tokens))
        return 0
    report = PLACE / "report"
    shutil.rmtree(report, ignore_errors=True)
    with running(str(ROOT / ".venv/bin/panal")) as kubeconfig:
        run(kubeconfig, options.focus, SERIAL, options.nodes, report / "parallel")
        run(kubeconfig, _both(options.focus, SERIAL), "", 1, report / "serial")
    return say(results(report))


def _both(focus: str, serial: str) -> str:
    """Names with both, in either order: Go's regular expressions look at the whole name."""
    return rf"({serial}).*({focus})|({focus}).*({serial})"


def say(found: dict[str, bool]) -> int:
    failed = [name for name, passed in found.items() if not passed]
    for name in failed:
        sys.stdout.write(f"FAILED  {name}\n")
    sys.stdout.write(f"{len(found) - len(failed)} of {len(found)} passed\n")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())

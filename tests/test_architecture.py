"""What docs/ARCHITECTURE.md says of the code is true: pure modules stay pure, and every module has its test."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("panal", "agents", "controlplane", "proxy")
FORBIDDEN = {"asyncio", "aiohttp", "socket", "sqlite3", "subprocess", "time", "random", "secrets"}

PURE = (
    "panal/quantity.py",
    "panal/selectors.py",
    "panal/bootstraptoken.py",
    "agents/kubelet/decide.py",
    "agents/relay/frames.py",
    "agents/relay/switch.py",
    "agents/relay/world.py",
    "controlplane/apiserver/removednodes.py",
    "agents/network/routes.py",
    "agents/kubelet/status.py",
    "agents/kubelet/backoff.py",
    "controlplane/apiserver/apply.py",
    "controlplane/controllers/nodeipam/decide.py",
    "controlplane/apiserver/schema.py",
    "controlplane/apiserver/tables.py",
    "controlplane/dns/answer.py",
    "controlplane/dns/external/endpoints.py",
    "controlplane/dns/external/ownership.py",
    "controlplane/dns/publisher/changes.py",
    "controlplane/dns/zones.py",
    "proxy/exit/messages.py",
    "proxy/exit/policy.py",
    "proxy/ingress/canaries.py",
    "proxy/ingress/engines/caddy.py",
    "proxy/ingress/engines/haproxy.py",
    "proxy/ingress/engines/httpd.py",
    "proxy/ingress/engines/nginx.py",
    "proxy/ingress/guards.py",
    "proxy/ingress/openshift.py",
    "proxy/ingress/routes.py",
    "proxy/loadbalancer/allocate.py",
    "proxy/loadbalancer/pools.py",
    "proxy/services/table.py",
    "proxy/services/render.py",
)
"""Modules that decide and do nothing else; a new one is added here."""


IMPORTED_BY_OTHERS = {"jsonpointer", "multidict", "yarl"}
"""What aiohttp and jsonpatch themselves need and hand out."""


def _sources() -> list[Path]:
    return sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_that_acts(module: str) -> None:
    assert _imports(ROOT / module) & FORBIDDEN == set()


def test_only_main_modules_read_the_command_line() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if path.name != "__main__.py" and "sys.argv" in path.read_text() and path.parent.name != "command"
    ]
    assert readers == []


def test_every_module_says_why_it_exists() -> None:
    silent = [str(path.relative_to(ROOT)) for path in _sources() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_what_panal_imports_is_installed_with_it() -> None:
    """A lazy import of what only the tests bring works everywhere but at a user's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_normal(re.split(r"[<>=!~;\[ ]", wanted)[0]) for wanted in project["dependencies"]}
    brought = importlib.metadata.packages_distributions()
    imported = set().union(*(_imports(path) for path in _sources())) - sys.stdlib_module_names - {"panal"}
    foreign = {name for name in imported if not declared & set(map(_normal, brought.get(name, [])))}
    assert foreign <= IMPORTED_BY_OTHERS


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()

"""What decides in the controllers and the scheduler does nothing else: it has no clock, no chance, no socket."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "controlplane"
FORBIDDEN = {"asyncio", "aiohttp", "socket", "sqlite3", "subprocess", "time", "random", "secrets"}
SHELLS = {
    "__main__.py",
    "catalog.py",
    "context.py",
    "custom.py",
    "discovered.py",
    "owned.py",
    "podcontrol.py",
    "reconcile.py",
    "selection.py",
    "slices.py",
}
PURE = sorted(
    path
    for part in ("controllers", "scheduler")
    for path in (ROOT / part).rglob("*.py")
    if path.name not in {*SHELLS, "__init__.py", "scheduler.py", "storage.py"}
)


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_deciding_module_imports_nothing_that_acts(path: Path) -> None:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    assert found & FORBIDDEN == set()


def test_every_controller_has_a_module_that_decides() -> None:
    folders = {path.parent for path in (ROOT / "controllers").rglob("reconcile.py")}
    assert [str(folder) for folder in folders if not (folder / "decide.py").exists()] == []

"""`python -m panal.agents.node.compile` compiles what clusters run: the first one starts as fast as the next then."""

from __future__ import annotations

import compileall
import importlib
import os
import sys

from panal import bytecode

PACKAGES = ("panal", "panal.agents", "panal.controlplane", "panal.proxy")


def main() -> int:
    """Begin again as an interpreter of that kind, import what a cluster begins with, and compile the rest of Panal."""
    options = bytecode.options(os.environ)
    if not options:
        return 0
    if sys.flags.optimize == 0:
        os.execv(sys.executable, [sys.executable, *options, "-P", "-m", "panal.agents.node.compile"])
    from .components import later_modules, modules
    from .zygote import LATE

    for name in (*modules(), *later_modules(), *LATE):
        importlib.import_module(name)
    for folder in {folder for name in PACKAGES for folder in sys.modules[name].__path__}:
        compileall.compile_dir(folder, quiet=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())

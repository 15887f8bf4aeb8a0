"""An entrypoint as a program of its own: `python -m panal.agents.images.entrypoints module:function ARGUMENTS`."""

from __future__ import annotations

import importlib
import sys

_OURS = ("panal.agents.images.entrypoints.", "panal.agents.agnhost.", "panal.agents.samples.")

if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    if not module.startswith(_OURS):
        sys.exit(f"{module}: not an entrypoint")
    sys.exit(getattr(importlib.import_module(module), function)(sys.argv[2:]))

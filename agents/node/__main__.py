"""`python -m panal.agents.node FOLDER NETWORK`: keep a cluster; see keeper.py. What follows is room for titles."""

from __future__ import annotations

import sys

from .keeper import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3]))

"""Where the cluster's objects live: one append-only history of keys, with one revision for all of them.

`contract.py` says what a store does, `memory.py` and `sqlite.py` do it. Only the API server imports this package.
"""

from .contract import Compacted, Entry, Event, Mismatch, Page, Store

__all__ = ["Compacted", "Entry", "Event", "Mismatch", "Page", "Store"]

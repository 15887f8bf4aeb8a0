"""The runtime: sandboxes and containers in the verbs of the CRI."""

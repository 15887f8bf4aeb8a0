"""The network: addresses for nodes and pods, and the way to start a process there."""

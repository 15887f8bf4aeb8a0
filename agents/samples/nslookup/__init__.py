"""nslookup as busybox had it up to 1.28: `python -m panal.agents.samples.nslookup`."""

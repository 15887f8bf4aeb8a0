"""A whole Kubernetes cluster made of ordinary processes. What every part shares, and the `panal` command."""

"""The control plane: API server over its store, scheduler, controllers, cluster DNS."""

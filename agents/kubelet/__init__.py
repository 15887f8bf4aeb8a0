"""The kubelet: decides what a pod needs next and has the runtime do it."""

"""Images: what a container's image name runs on this machine."""

"""What runs on a node: kubelet, runtime, network, images, and the steward that starts nodes."""

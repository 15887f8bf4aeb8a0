"""The data paths: Services (kube-proxy), ingress, external load balancer, forwarding."""

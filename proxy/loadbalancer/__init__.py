"""The external load balancer: addresses for Services of type LoadBalancer, health checks, forwarding."""

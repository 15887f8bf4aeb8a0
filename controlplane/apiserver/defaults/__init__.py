"""What Kubernetes fills in where an object says nothing, kind by kind. Every function changes its argument in place."""

"""kube-proxy: a pure table of Services, and the dataplanes that make it true."""

"""`panal token` and `panal node`: how machines join a cluster, and how they leave it."""

"""The store: one compare-and-append over a single revision, as in etcd."""

"""The scheduler: pure filters and scores over a snapshot, and a shell that binds."""

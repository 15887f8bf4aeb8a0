"""The older form of what serves a Service: one Endpoints object each."""

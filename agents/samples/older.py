"""Images of their own whose programs Kubernetes has taken into agnhost since: tutorials still name them."""

from __future__ import annotations

from ..agnhost.main import main


def stress(argv: list[str]) -> int:
    """vish/stress."""
    return main(["stress", *argv])


def liveness(argv: list[str]) -> int:
    """registry.k8s.io/liveness, which is called with `/server`."""
    return main(["liveness"])


def serve_hostname(argv: list[str]) -> int:
    return main(["serve-hostname", *argv])

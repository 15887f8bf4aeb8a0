"""The programs that Panal brings itself, by image name: `(module, function)` to call with the argument vector.

A bundled image is started by forking a process that has imported these modules already. The function gets the
container's command line (without the program's name), reads the environment itself, and returns the exit code.
Only module names stand here, so that no part is imported.
"""

from __future__ import annotations

VERSION = "v1.36.2"
"""The Kubernetes version whose API and behaviour the bundled programs have; the tag of their images."""

BUNDLED: dict[str, str] = {
    "panal/kube-apiserver": "panal.controlplane.apiserver.__main__:main",
    "panal/kube-controller-manager": "panal.controlplane.controllers.__main__:main",
    "panal/kube-scheduler": "panal.controlplane.scheduler.__main__:main",
    "panal/cluster-dns": "panal.controlplane.dns.__main__:main",
    "panal/kube-proxy": "panal.proxy.services.__main__:main",
    "panal/ingress": "panal.proxy.ingress.__main__:main",
    "panal/external-dns": "panal.controlplane.dns.publisher.__main__:main",
}


def image(name: str) -> str:
    """The full image reference of a bundled program, for example panal/kube-proxy:v1.36.2."""
    return f"panal/{name}:{VERSION}"

"""The cluster's context in the user's own kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from panal import cleanup
from panal.paths import ClusterPaths

from .failure import Failure


def context_of(paths: ClusterPaths) -> str:
    """The context's name, in the administrator's kubeconfig and in the user's."""
    from panal import kubeconfig

    return str(kubeconfig.load(paths.kubeconfig)["current-context"])


def place(environ: Mapping[str, str]) -> Path:
    """The user's kubeconfig. Raises Failure when nothing tells where it is."""
    from panal import kubeconfig

    target = kubeconfig.user_kubeconfig(environ)
    if str(target).startswith("~"):
        raise Failure("there is no home folder for a kubeconfig; set HOME, or name a file with KUBECONFIG.")
    return target.absolute()


def check(environ: Mapping[str, str]) -> None:
    """Whether the context can be added, before a cluster is started for it. Raises Failure."""
    from panal import kubeconfig

    target = place(environ)
    try:
        kubeconfig.check_writable(target)
    except (OSError, kubeconfig.KubeconfigError) as error:
        told = " ".join(str(error).split())
        raise Failure(
            f"the cluster's context can't be added to your kubeconfig: {told}; name another file with KUBECONFIG."
        ) from error


def merge_context(paths: ClusterPaths, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Add the context and make it the current one; the file and the context's name. Raises Failure.

    What was the current context is written down first, so that whoever removes the cluster can restore it.
    """
    import orjson

    from panal import kubeconfig

    target = place(environ)
    own = kubeconfig.load(paths.kubeconfig)
    context = context_of(paths)
    try:
        with kubeconfig.locked(target):
            before = kubeconfig.load(target).get("current-context") if target.exists() else ""
            previous = before if before != context else ""
            record = {"path": str(target), "previous": previous, "created": not target.exists()}
            kubeconfig.write_private(cleanup.record_of_context(paths), orjson.dumps(record))
            kubeconfig.merge(target, own)
    except (OSError, kubeconfig.KubeconfigError) as error:
        raise Failure(
            f"the cluster is up, but its context can't be added to {target}: {error}; "
            f"use `export KUBECONFIG={paths.kubeconfig}` instead."
        ) from error
    return target, context

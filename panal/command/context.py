"""The cluster's context in the user's own kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from panal import cleanup
from panal.paths import ClusterPaths

from .failure import Failure


def merge_context(paths: ClusterPaths, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Add the context and make it the current one; the file and the context's name. Raises Failure.

    What was the current context is written down first, so that whoever removes the cluster can restore it.
    """
    import orjson

    from panal import kubeconfig

    target = kubeconfig.user_kubeconfig(environ).absolute()
    own = kubeconfig.load(paths.kubeconfig)
    context = str(own["current-context"])
    try:
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

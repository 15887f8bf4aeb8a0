"""Options that several commands have."""

from __future__ import annotations

import click

from . import completion

NAME = click.option(
    "--name",
    default=None,
    metavar="NAME",
    envvar="PANAL_CLUSTER",
    shell_complete=completion.clusters,
    help="Which cluster: by default the one in $PANAL_CLUSTER, the one called panal, or the only one.",
)

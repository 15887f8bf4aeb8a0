"""`panal node` and `panal token`: the words for machines that join a cluster, and leave it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from . import completion
from .options import NAME


@click.group()
def node() -> None:
    """Machines that join a cluster, and leave it."""


@node.command("join")
@click.argument("address", required=False, metavar="[ADDRESS[:PORT]]")
@click.option("--token", default=None, help="The token; better: PANAL_TOKEN in the environment, or --token-file.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file that holds the token.")
@click.option("--discovery-token-ca-cert-hash", "pin", metavar="sha256:HASH", help="The hash of the cluster's CA.")
@click.option("--node-name", default=None, help="The node's name: by default this machine's.")
@click.option("--name", default=None, metavar="NAME", help="What the cluster is called on this machine.  [panal]")
def node_join(
    address: str | None,
    token: str | None,
    token_file: Path | None,
    pin: str | None,
    node_name: str | None,
    name: str | None,
) -> None:
    """Make this machine a node of the cluster at ADDRESS, or of the one that announces itself in this network.

    An ordinary user can do it; nothing of the machine's own network is changed. The line to use is what
    `panal token create` prints on the machine with the control plane.
    """
    from .node.join import Wish, hide_token, join

    hide_token(sys.argv[1:], os.environ)
    join(Wish(address, token, token_file, pin, node_name, name), os.environ)


@node.command("start")
@click.argument("address", required=False, metavar="[ADDRESS[:PORT]]")
@click.option("--name", default=None, metavar="NAME", help="What the cluster is called on this machine.  [panal]")
def node_start(address: str | None, name: str | None) -> None:
    """Be the node again that this machine was before it was restarted: no token is needed.

    ADDRESS: where the control plane is now, if that has moved. At every start of the machine, for an ordinary user:

    \b
        (crontab -l; echo '@reboot panal node start') | crontab -
    """
    from .node.join import start

    start(address, name, os.environ)


@node.command("ls")
@NAME
def node_ls(name: str | None) -> None:
    """Show the cluster's nodes, and which are on other machines.

    \b
        panal node ls
    """
    from .node.members import show

    show(name, os.environ)


@node.command("rm")
@NAME
@click.argument("node", metavar="NODE", shell_complete=completion.nodes)
@click.option("--timeout", type=click.FloatRange(0, 3600), default=30.0, help="Seconds its pods have to leave.  [30]")
def node_rm(name: str | None, node: str, timeout: float) -> None:
    """Remove a machine: its pods go elsewhere, its certificates are refused from then on.

    \b
        panal node rm portatil
        panal node rm portatil --timeout 120
    """
    from .node.members import remove

    remove(node, name, timeout, os.environ)


@click.group()
def token() -> None:
    """The tokens by which other machines join a cluster that was started with `panal up --listen`."""


@token.command("create")
@NAME
@click.option("--ttl", default="24h", metavar="TIME", help="How long it is good for; 0 is for ever.  [default: 24h]")
@click.option("--description", default="", help="Words for `panal token list`.")
def token_create(name: str | None, ttl: str, description: str) -> None:
    """Make a token and print the line that joins a machine with it.

    \b
        panal token create
        panal token create --ttl 1h --description "the laptops of today's course"
    """
    from .node.token import create

    create(name, ttl, description, os.environ)


@token.command("list")
@NAME
def token_list(name: str | None) -> None:
    """Show the tokens' ids and until when they are good."""
    from .node.token import show

    show(name, os.environ)


@token.command("delete")
@NAME
@click.argument("token", metavar="ID")
def token_delete(name: str | None, token: str) -> None:
    """Take a token back. Machines that have joined with it stay."""
    from .node.token import delete

    delete(name, token, os.environ)

"""The `panal` command: its sub-commands, each of which imports what it needs when it runs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from . import completion
from .clinodes import node, token
from .failure import Failure
from .options import NAME


class Interrupted(Exception):
    """Control-C, where a command has no ending of its own for it."""


class Commands(click.Group):
    """From here on Control-C is a KeyboardInterrupt, as commands expect it; what they leave of it is `Interrupted`."""

    def invoke(self, ctx: click.Context) -> Any:
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # nohup(1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # somebody impatient, while the interpreter ends
            raise Interrupted from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A whole Kubernetes cluster made of ordinary processes, for the real kubectl.

    \b
        panal up                             four nodes, in some seconds
        kubectl get nodes
        panal shell menchupc                 a shell on a PC outside the cluster
        panal trace http://web1.miempresa.com/
        panal lesson                         what can be learnt from it, step by step
        panal down

    Every command has a page of its own: `panal COMMAND --help`.
    """


@cli.command()
@click.option("--config", "config", type=click.Path(path_type=Path), help="A cluster.yaml; without it, four nodes.")
@click.option("--nodes", type=int, help="How many nodes, where no file lists them.")
@click.option("--name", default=None, metavar="NAME", help="The cluster's name; several run side by side.")
@click.option("--network", type=click.Choice(["auto", "netns", "loopback"]), help="How hosts and pods get addresses.")
@click.option("--proxy-mode", type=click.Choice(["auto", "netfilter", "userspace"]), help="How kube-proxy forwards.")
@click.option("--listen", metavar="ADDRESS[:PORT]", help="Let other machines join: this machine's address, or `auto`.")
@click.option("--vxlan", is_flag=True, help="Machines of root's reach each other directly, by VXLAN: not encrypted.")
@click.option("--restore", type=click.Path(path_type=Path), help="Begin with what `panal backup` wrote into this file.")
def up(
    config: Path | None,
    nodes: int | None,
    name: str | None,
    network: str | None,
    proxy_mode: str | None,
    listen: str | None,
    vxlan: bool,
    restore: Path | None,
) -> None:
    """Start a cluster, and return when it is usable.

    The kubeconfig gets a context `panal` (or panal-NAME), which is the current one until `panal down`. The lines on
    the way tell what was chosen: `netns` gives hosts and pods network namespaces of their own; where the kernel
    refuses these, `loopback` uses addresses of 127/8.

    Examples:

    \b
        panal up
        panal up --nodes 2
        panal up --name miempresa --config examples/miempresa/cluster.yaml
        panal up --listen auto
        panal up --restore monday.tar.gz
    """
    from .up import Wish, up

    up(Wish(config, nodes, name, network, proxy_mode, listen, restore, vxlan), os.environ)


@cli.command()
@NAME
@click.option("--volumes/--no-volumes", default=True, help="With the data of provisioned volumes, or without.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(name: str | None, volumes: bool, file: Path) -> None:
    """Save a running cluster in FILE: its objects, keys and volumes.

    Volumes are copied as their files stand: stop what writes there, or let it dump its data, first.

    \b
        panal backup monday.tar.gz
        panal down
        panal up --restore monday.tar.gz
    """
    from .backup import backup

    backup(name, file, volumes, os.environ)


@cli.command()
@NAME
@click.option("--grace", default="0s", metavar="DURATION", help="What the pods may take to end, such as 30s.")
def down(name: str | None, grace: str) -> None:
    """End a cluster and remove all that it was.

    Pods are killed, unless they are given a grace: then each node shuts down as a machine does whose kubelet is
    configured for it, critical pods last.

    \b
        panal down
        panal down --name miempresa --grace 30s
    """
    from .down import down

    down(name, os.environ, _grace(grace))


def _grace(text: str) -> float:
    from panal.durations import seconds

    try:
        return seconds(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no duration such as 30s", param_hint="--grace") from None


@cli.command()
@NAME
def status(name: str | None) -> None:
    """Show a cluster's processes, nodes and addresses.

    Any of the processes may be killed: it comes back. The numbers are those of this machine's `ps`.

    \b
        panal status
        panal status --name miempresa
    """
    from .status import status

    status(name, os.environ)


@cli.command()
@NAME
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", help="A table, or JSON.")
def capacity(name: str | None, output: str) -> None:
    """Show what nodes have, what pods asked for, and what is used.

    COMMITTED is what the scheduler counts: the requests of the pods there. USED is measured now.

    \b
        panal capacity
        panal capacity -o json
    """
    from .capacity import capacity

    capacity(name, output, os.environ)


@cli.command()
@NAME
@click.option("--explain", "pod", required=True, metavar="POD", help="The pod, whether it waits or has a node.")
@click.option("--namespace", "-n", default="default", help="The pod's namespace.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", help="A table, or JSON.")
def schedule(name: str | None, pod: str, namespace: str, output: str) -> None:
    """Explain why a pod gets its node, or none.

    Each node's filters and scores, with the numbers.

    \b
        panal schedule --explain web-0
        panal schedule --explain web-0 -n shop
    """
    from .schedule import schedule

    schedule(name, namespace, pod, output, os.environ)


@cli.command()
@NAME
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", help="A table, or JSON.")
def fidelity(name: str | None, output: str) -> None:
    """List what is in use and has no effect here.

    Fields on which nothing acts, and kinds that are stored only, as your objects use them. docs/compatibility.md has
    the whole list.

    \b
        panal fidelity
        panal fidelity -o json
    """
    from .fidelity import fidelity

    fidelity(name, output, os.environ)


@cli.command()
@NAME
def kubeconfig(name: str | None) -> None:
    """Print the administrator's kubeconfig.

    \b
        panal kubeconfig > lab.conf
    """
    from .running import cluster

    click.echo(cluster(name, os.environ).kubeconfig.read_text(), nl=False)


@cli.command(context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("host", shell_complete=completion.hosts)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(name: str | None, host: str, command: tuple[str, ...]) -> None:
    """A shell on a host of the LAN or a node, or one COMMAND there.

    \b
        panal shell menchupc
        panal shell nodoa -- ip route
        panal shell menchupc -- curl -s http://web1.miempresa.com/
    """
    from .shell import shell

    sys.exit(shell(name, host, command, os.environ))


@cli.command()
@NAME
@click.argument("node", shell_complete=completion.nodes)
@click.option("--nft", is_flag=True, help="As nft text, also where netfilter is not in use; `nft -f` takes it.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: for programs.")
@click.option("-w", "--watch", is_flag=True, help="Go on with a line for each change, until interrupted.")
def rules(name: str | None, node: str, nft: bool, output: str, watch: bool) -> None:
    """Show how NODE forwards Services, a line a port.

    The address that clients use, the Service, and the pods it leads to:

    \b
        10.10.1.102:8080     (wp-service)  -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)
        192.168.0.101:30880  (nginx)       -> 10.10.0.9:80

    With --watch, what each change does (try it while you scale a Deployment or a pod gets ready):

    \b
        21:30:01.123  + 10.10.1.102:8080  (wp-service)  -> 10.10.0.71:80   (in 1.2 ms)
        21:30:04.501  - 10.10.1.102:8080  (wp-service)  -> 10.10.0.5:80   (in 0.9 ms)

    Examples:

    \b
        panal rules nodoa
        panal rules nodoa --watch
        panal rules nodoa --nft
        panal rules nodoa -o json | jq '.services[] | select(.endpoints == [])'
    """
    from .rules import Wish, rules

    rules(name, node, Wish(nft, output, watch), os.environ)


@cli.command()
@NAME
@click.argument("target", metavar="URL|HOST:PORT")
@click.option(
    "--from", "start", metavar="HOST|POD", help="Where it begins; by default Menchu's PC. POD: NAMESPACE/NAME."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def trace(name: str | None, target: str, start: str | None, as_json: bool) -> None:
    """Make one real connection and show its way, hop by hop.

    The name and who answered; the load balancer, its nodes and the one it took; the rule on that node; the ingress and
    its rule; the Service; the pod, its container and process; the answer. Each hop is asked for its own record of this
    very connection. When it fails: the step that did, and why (exit code 1).

    Examples:

    \b
        panal trace http://web1.miempresa.com/
        panal trace nodoa:30880
        panal trace --from nodob 10.10.1.102:8080
        panal trace --from default/wp-7c8476bcd7-xcs5j mariadb-service:3307
        panal trace --json http://web1.miempresa.com/ | jq '.hops[] | select(.step == "pod") | .name'
    """
    from .trace.run import trace

    sys.exit(trace(name, target, start, as_json, os.environ))


@cli.group()
def image() -> None:
    """Which images this machine can provide, and root file systems of your own."""


@image.command("ls")
def image_ls() -> None:
    """List the images, and for a missing one the package that brings it."""
    from .image import ls

    ls(os.environ)


@image.command("add")
@click.argument("name")
@click.option("--rootfs", required=True, type=click.Path(), help="The folder that containers see as /, copy-on-write.")
@click.option("--entrypoint", default="", metavar="WORDS", help="What runs, with the arguments that always come first.")
@click.option("--cmd", "command", default="", metavar="WORDS", help="The arguments where a container names none.")
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="A variable; may be given again.")
@click.option("--workdir", default="/", metavar="DIR", help="Where the program starts.")
@click.option("--user", type=click.IntRange(0, 2**32 - 2), help="The number of the user as which it runs.")
def image_add(
    name: str, rootfs: str, entrypoint: str, command: str, env: tuple[str, ...], workdir: str, user: int | None
) -> None:
    """Let containers of the image NAME see the folder as their root file system.

    Examples:

    \b
        debootstrap --variant=minbase bookworm /srv/bookworm
        panal image add bookworm --rootfs /srv/bookworm --entrypoint bash
        kubectl run -it --rm try --image=bookworm
    """
    from .image import Wish, add

    add(name, Wish(rootfs, entrypoint, command, env, workdir, user), os.environ)


@image.command("rm")
@click.argument("name")
def image_rm(name: str) -> None:
    """Forget the image NAME; its folder stays."""
    from .image import rm

    rm(name, os.environ)


@cli.command()
@NAME
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added.")
@click.argument("component", shell_complete=completion.components)
def logs(name: str | None, follow: bool, component: str) -> None:
    """Show what a component logs.

    COMPONENT: steward, kubelet-NODE, runtime-NODE, runtime-workers, lb, dns, kube-apiserver, ...

    \b
        panal logs kubelet-nodoa
        panal logs lb --follow
    """
    from .logs import logs

    logs(name, component, follow, os.environ)


@cli.command()
@NAME
@click.argument("lesson", required=False, metavar="[LESSON]", shell_complete=completion.lessons)
@click.option("--yes", "-y", is_flag=True, help="Do not wait for Enter before each command.")
@click.option(
    "--lang", type=click.Choice(["en", "es"]), help="In English or in Spanish; by default as the locale says."
)
def lesson(name: str | None, lesson: str | None, yes: bool, lang: str | None) -> None:
    """List the lessons, or walk through LESSON on the running cluster.

    Each lesson is a README of the folder examples/. Its text is shown, and each of its commands before it is run; then
    what the command printed is held against what the README shows. Exit code 1 when something differs. What the lesson
    applied is deleted at the end.

    \b
        panal lesson
        panal lesson services
        panal lesson services --lang es --yes
    """
    from .lesson import walk

    language = walk.languages(lang, os.environ)
    if lesson is None:
        walk.show(language, os.environ)
        return
    sys.exit(walk.lesson(walk.Wish(lesson, name, not yes and sys.stdin.isatty(), language), os.environ))


cli.add_command(node)
cli.add_command(token)


@cli.command()
@click.argument("name", required=False)
@click.option(
    "--config", type=click.Path(path_type=Path), envvar="PANAL_CONFIG", required=True, help="The cluster.yaml of all."
)
@click.option(
    "--join",
    type=click.Path(path_type=Path),
    envvar="PANAL_JOIN",
    default="/run/panal/join",
    help="A folder that all hosts share: how to join stands there.",
)
@click.option(
    "--apply",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar="PANAL_APPLY",
    help="A folder of manifests to begin with; more than once, or in $PANAL_APPLY with colons in between.",
)
@click.option(
    "--grace",
    default="0s",
    metavar="DURATION",
    envvar="PANAL_GRACE",
    help="What its pods may take to end when it is told to end, such as 8s.",
)
@click.option("--check", is_flag=True, help="Only ask how the host on this machine is: 0 when it is well.")
def host(name: str | None, config: Path, join: Path, apply: tuple[Path, ...], grace: str, check: bool) -> None:
    """Be the host NAME of the company LAN: this machine or container, until it is told to end.

    NAME is one that the cluster.yaml has (by default this machine's own), and this machine has its address already.
    What runs follows from it: the control plane, a node, the load balancer, the DNS server or a client.

    \b
        panal host nodo1 --config cluster.yaml --apply manifests
        panal host nodoa --config cluster.yaml
        panal host nodoa --config cluster.yaml --check
    """
    if check:
        from .hostcheck import main as look

        sys.exit(look())
    from .host import Host, run

    run(Host(name, config, join, apply, _grace(grace)), os.environ)


@cli.command("completion")
@click.argument("shell", type=click.Choice(completion.SHELLS))
def completion_script(shell: str) -> None:
    """Print what makes a shell complete panal's words.

    For bash: `source <(panal completion bash)`, in ~/.bashrc for every shell to come.
    """
    click.echo(completion.script(shell, cli))


def run() -> None:
    """The program. A `Failure` is one sentence and exit code 1."""
    try:
        cli(prog_name="panal", standalone_mode=False)
    except Failure as failure:
        click.echo(f"panal: {failure}", err=True)
        sys.exit(1)
    except (Interrupted, click.exceptions.Abort):
        click.echo("panal: interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"panal: {place}{error.strerror or error}.", err=True)
        sys.exit(1)

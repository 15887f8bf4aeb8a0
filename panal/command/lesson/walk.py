"""`panal lesson`: list the lessons, or walk through one on a live cluster and check each step."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from panal.paths import ClusterPaths

from ..failure import Failure
from . import compare, readme
from .needs import check_cluster, cluster_of
from .runner import Ran, Shell, settle
from .words import WORDS

PATIENCE_SECONDS = 40.0
"""How long a command that only reads may take to print what the README shows, and any command to end."""
LONG_PATIENCE_SECONDS = 200.0
"""The same where the README remarks behind the command that it takes a while."""
NAME = re.compile(r"[a-z0-9-]{1,40}")
_APPLY = re.compile(r"kubectl apply ((?:-[fk] \S+ ?)+)")


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line. `wait`: for Enter, before each command."""

    lesson: str
    cluster: str | None
    wait: bool
    language: str


def folder(environ: Mapping[str, str]) -> Path:
    """The folder of the lessons: $PANAL_EXAMPLES, this checkout's, the installed one, or ./examples. Raises Failure."""
    import panal

    if named := environ.get("PANAL_EXAMPLES"):
        found = Path(named).absolute()
        if found.name != "examples":
            raise Failure(f"PANAL_EXAMPLES is {named}; the lessons' commands ask for a folder called `examples`.")
        if not (found / "README.md").is_file():
            raise Failure(f"PANAL_EXAMPLES is {named}, and there is no README.md in it.")
        return found
    package = Path(panal.__file__).absolute().parent
    for place in (package.parent / "examples", package / "examples", Path.cwd() / "examples"):
        if (place / "README.md").is_file():
            return place
    raise Failure("the lessons are not here; go to Panal's checkout, or name its folder examples with PANAL_EXAMPLES.")


def listed(environ: Mapping[str, str], language: str) -> dict[str, str]:
    """name -> question of every lesson, in the order of the course."""
    return readme.index(_read(folder(environ), language))


def show(language: str, environ: Mapping[str, str]) -> None:
    """Print the lessons, a line each."""
    lessons = listed(environ, language)
    wide = max(map(len, lessons), default=0)
    for name, question in lessons.items():
        click.echo(f"{name:{wide}}  {question}")
    click.echo(f"\n{WORDS[language]['how']}")
    click.echo(WORDS[language]["where"].format(folder(environ)))


def lesson(wish: Wish, environ: Mapping[str, str]) -> int:
    """Walk through a lesson; 0 when every step was as the README shows, otherwise 1. Raises Failure."""
    examples = folder(environ)
    known = readme.index(_read(examples, "en"))
    if not NAME.fullmatch(wish.lesson) or wish.lesson not in known:
        raise Failure(f"there is no lesson {wish.lesson!r}; the lessons are {', '.join(known)}.")
    told = readme.parse(_read(examples / wish.lesson, wish.language))
    paths = cluster_of(wish.cluster, told, examples.parent, environ)
    check_cluster(told, paths, examples.parent)
    own = _environ(paths, environ)
    if shutil.which("kubectl", path=own["PATH"]) is None:
        raise Failure("the lessons use kubectl, and it is not in PATH; install it first.")
    previous = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Shell(examples.parent, own) as shell:
            try:
                return _walk(told, shell, wish)
            finally:
                _clean(told, shell, wish.language)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _read(place: Path, language: str) -> str:
    """The README of a folder, in English where there is none in that language. Raises Failure."""
    names = ["README.md"] if language == "en" else [f"README.{language}.md", "README.md"]
    for name in names:
        try:
            return (place / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{place / name} can't be read: {error}.") from error
    raise Failure(f"there is no README.md in {place}.")


def _environ(paths: ClusterPaths, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's environment, with the cluster's own kubeconfig and with the `panal` that runs this."""
    tools = [str(Path(sys.executable).parent), str(paths_of_tools())]
    return {
        **environ,
        "KUBECONFIG": str(paths.kubeconfig),
        "PANAL_CLUSTER": paths.root.name,
        "PATH": os.pathsep.join([*tools, environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]),
    }


def paths_of_tools() -> Path:
    """Where `make tools` puts kubectl."""
    import panal

    return Path(panal.__file__).absolute().parents[1] / ".tools" / "bin"


def _walk(told: readme.Lesson, shell: Shell, wish: Wish) -> int:
    words = WORDS[wish.language]
    click.secho(told.title, bold=True)
    varying = compare.Varying.of(told.any_of, told.swapped)
    wrong: list[int] = []
    number = 0
    for part in told.parts:
        if isinstance(part, str):
            click.echo(f"\n{part}\n")
            continue
        number += 1
        click.secho(f"[{number}/{len(told.steps)}] $ {part.command}", bold=True)
        if _is_up(part.command):
            click.echo(words["up"])
            continue
        if wish.wait and _ask(words["enter"]):
            continue
        after = _step(part, shell, varying, words)
        if after is None:
            wrong.append(number)
        else:
            varying = after
    click.echo()
    if wrong:
        click.secho(words["differs"].format(", ".join(map(str, wrong)), len(told.steps)), fg="red")
        return 1
    click.secho(words["well"].format(len(told.steps)), fg="green")
    return 0


def _ask(words: str) -> bool:
    """Wait for Enter; whether the step shall be left out. Control-C and the end of the input end the lesson."""
    try:
        said = input(words)
    except EOFError:
        raise KeyboardInterrupt from None
    return said.strip().lower() in ("s", "skip")


def _step(
    step: readme.Step, shell: Shell, varying: compare.Varying, words: Mapping[str, str]
) -> compare.Varying | None:
    """Run a step and say how it went; what may vary from now on, None when it is not as the README shows."""

    def judged(ran: Ran) -> compare.Varying | None:
        if step.expected:
            return compare.compare(step.expected, ran.output, varying)
        return varying if ran.code == 0 else None

    patience = LONG_PATIENCE_SECONDS if step.remark else PATIENCE_SECONDS
    ran = settle(shell, step.plain, lambda ran: judged(ran) is not None, patience)
    if ran.output:
        click.echo(ran.output.rstrip("\n"))
    after = judged(ran)
    if after is not None:
        click.secho(words["same"] if step.expected else words["done"], fg="green")
        return after
    if not step.expected or ran.code is None:
        code = words["ended"] if ran.code is None else words["code"].format(ran.code)
        click.secho(code, fg="red")
    if step.expected:
        click.secho(words["other"], fg="red")
        for line in compare.unlike(step.expected, ran.output, varying) or step.expected:
            click.echo(f"  - {line}")
    return None


def _is_up(command: str) -> bool:
    return command.startswith("panal up")


def _clean(told: readme.Lesson, shell: Shell, language: str) -> None:
    """Delete what the lesson's `kubectl apply` commands made, the last first."""
    applied: list[str] = []
    for step in told.steps:
        applied += [found.group(1).strip() for found in _APPLY.finditer(step.plain)]
    for what in reversed(list(dict.fromkeys(applied))):
        safe = " ".join(map(shlex.quote, shlex.split(what)))
        shell.run(f"kubectl delete {safe} --ignore-not-found --wait=false", PATIENCE_SECONDS)
    if applied:
        click.echo(WORDS[language]["clean"])


def languages(chosen: str | None, environ: Mapping[str, str], known: Sequence[str] = ("en", "es")) -> str:
    """The language to use: the chosen one, or the locale's when there are lessons in it."""
    if chosen:
        return chosen
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return locale[:2] if locale[:2] in known else "en"

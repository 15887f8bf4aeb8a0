"""Root file systems as steps, for a machine that is written down here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from panal.agents.runtime.layer import Abilities, Layer, Layers, system_steps
from panal.agents.runtime.machine import View
from panal.agents.runtime.request import Step
from panal.agents.runtime.syscalls import Mnt

VIEW = View(
    overlays=("/nosuch-etc", "/nosuch-var"),
    binds=("/nosuch-work",),
    links=(("/bin", "usr/bin"),),
    empty=("/tmp", "/root"),
    hidden=("/nosuch-var/panal",),
    needed=("/root/venv",),
)
HERE = "/.panal-old/r"
FULL = Abilities()


def layer(abilities: Abilities = FULL, *, readonly: bool = False, writable: tuple[str, ...] = ()) -> Layer:
    made = Layer("/r", VIEW, abilities, writable, readonly)
    made.prepare()
    return made


def mounts(steps: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.op, step.source, step.target) for step in steps if step.op in ("bind", "mount")]


def test_what_is_mounted_where_and_in_which_order() -> None:
    steps = layer(writable=("/nosuch-var/log/app",)).steps()
    assert mounts(steps) == [
        ("mount", "", HERE),
        ("mount", "overlay", "/nosuch-etc"),
        ("mount", "overlay", "/nosuch-var"),
        ("bind", "/.panal-old/nosuch-work", "/nosuch-work"),
        ("bind", f"{HERE}/own/0", "/nosuch-var/panal"),
        ("bind", f"{HERE}/own/1", "/nosuch-var/log/app"),
        ("bind", "/.panal-old/root/venv", "/root/venv"),
    ]
    overlay = next(step for step in steps if step.target == "/nosuch-var" and step.op == "mount")
    assert overlay.data == "userxattr,volatile,lowerdir=/.panal-old/nosuch-var,upperdir=up/1,workdir=wk/1"
    assert overlay.flags == Mnt.NODEV
    made = [step.target for step in steps if step.op == "mkdir"]
    assert {
        f"{HERE}/wk/1",
        f"{HERE}/up/1",
        f"{HERE}/up/1/panal",
        f"{HERE}/up/1/log/app",
        f"{HERE}/own/1",
        "/root/venv",
    } <= set(made)
    assert made.index(f"{HERE}/up/1/log") < made.index(f"{HERE}/up/1/log/app")
    assert next(step for step in steps if step.target == "/tmp").mode == 0o1777


def test_files_are_placed_where_they_will_be_seen() -> None:
    made = layer(writable=("/nosuch-etc/app",))
    assert made.place("/nosuch-etc/hosts") == f"{HERE}/up/0/hosts"
    assert made.place("/nosuch-etc/app") == f"{HERE}/up/0/app"
    assert made.place("/nosuch-etc/app/conf") == f"{HERE}/own/1/conf"
    assert made.place("/nosuch-work/x") is None
    assert made.place("/data/x") == "/data/x"
    made.file_at("/nosuch-var/bin/tool", "text")
    assert made.steps()[-8:]  # the file is made before anything is mounted over it
    order = [step.target for step in made.steps()]
    assert order.index(f"{HERE}/up/1/bin/tool") < order.index("/nosuch-var")
    assert next(step for step in made.steps() if step.data == "text").mode == 0o755


def test_a_readonly_root() -> None:
    overlay = next(step for step in layer(readonly=True).steps() if step.source == "overlay")
    assert overlay.flags == Mnt.NODEV | Mnt.RDONLY


def test_without_overlays_the_machine_is_shown_read_only() -> None:
    steps = layer(Abilities(overlays=False)).steps()
    shown = next(step for step in steps if step.target == "/nosuch-var" and step.op == "bind")
    assert (shown.source, shown.readonly) == ("/.panal-old/nosuch-var", True)


def test_what_is_tried_after_a_refusal() -> None:
    assert Abilities().after("mount proc at /proc: Operation not permitted") == Abilities(fresh_proc=False)
    assert Abilities().after("mount overlay at /etc: Invalid argument") == Abilities(overlays=False)
    assert Abilities(overlays=False).after("mount overlay at /etc: Invalid argument") is None
    assert Abilities().after("mount /x at /y: No such file or directory") is None


def test_the_machines_dangerous_files_are_covered_only_from_its_root() -> None:
    guarded, free = (mounts(system_steps(Abilities(), guarded=guard)) for guard in (True, False))
    assert set(guarded) - set(free) >= {
        ("bind", "/.panal-old/dev/null", "/proc/kcore"),
        ("bind", "/proc/sys", "/proc/sys"),
    }
    assert ("bind", "/.panal-old/proc", "/proc") in mounts(system_steps(Abilities(fresh_proc=False), guarded=False))


def test_unpacked_programs_lie_under_the_machines_own_folders(tmp_path: Path) -> None:
    unpacked = tmp_path / "tools:1"
    (unpacked / "nosuch-etc").mkdir(parents=True)
    made = Layer("/r", dataclasses.replace(VIEW, unpacked=str(unpacked)), FULL)
    made.prepare()
    found = {step.target: step.data for step in made.steps() if step.source == "overlay"}
    shown = f"/.panal-old{tmp_path}/tools\\:1/nosuch-etc"
    assert f"lowerdir=/.panal-old/nosuch-etc:{shown},upperdir" in found["/nosuch-etc"]
    assert "lowerdir=/.panal-old/nosuch-var,upperdir" in found["/nosuch-var"]


def test_links_of_a_folder_shown_entry_by_entry_are_made_in_it() -> None:
    made = Layer("/r", dataclasses.replace(VIEW, links=(("/nosuch-srv/run", "/run"),)), FULL)
    made.prepare()
    order = [(step.op, step.target) for step in made.steps()]
    assert order.index(("mkdir", "/nosuch-srv")) < order.index(("symlink", "/nosuch-srv/run"))


def test_a_layer_is_prepared_once_until_the_machines_folders_change(tmp_path: Path) -> None:
    """A package that is installed while the cluster runs brings folders that a container's root writes in."""
    (tmp_path / "var").mkdir()
    view = dataclasses.replace(VIEW, overlays=("/var",), base=str(tmp_path))
    layers = Layers()
    first = layers.of(Layer("/r", view, FULL))
    first.file_at("/var/mine", "of the first container only")
    again = layers.of(Layer("/r", view, FULL))
    (tmp_path / "var/www").mkdir()
    installed = layers.of(Layer("/r", view, FULL))

    def targets(made: Layer) -> list[str]:
        return [step.target for step in made.steps()]

    assert f"{HERE}/up/0/mine" in targets(first)
    assert f"{HERE}/up/0/mine" not in targets(again)
    assert f"{HERE}/up/0/www" not in targets(again)
    assert targets(installed).count(f"{HERE}/up/0/www") == 1
    fresh = Layer("/r", view, FULL)
    fresh.prepare()
    assert installed.steps() == fresh.steps()

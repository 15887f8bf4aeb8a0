"""What was written is read again; what was half written is gone."""

from __future__ import annotations

import os
from pathlib import Path

from panal.agents.images import ImageSpec
from panal.agents.runtime.contract import ContainerConfig, ContainerState, Mount, SandboxConfig
from panal.agents.runtime.state import ContainerRecord, SandboxRecord, State, remove_tree


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    state = State(tmp_path)
    sandbox = SandboxRecord(
        "s",
        SandboxConfig("web", "default", "u", host_aliases=(("1.2.3.4", ("a",)),), labels={"k": "v"}),
        1.5,
        "10.0.0.1",
        "/n",
    )
    container = ContainerRecord(
        "c",
        "s",
        ContainerConfig("main", "nginx", command=("a",), mounts=(Mount("/a", "/b", True),), env={"A": "1"}),
        ImageSpec("ref", ("e",), ("c",), env={"B": "2"}, files={"/x": "y"}),
        2.5,
        state=ContainerState.RUNNING,
        pid=7,
        start=8,
        warnings=("w",),
    )
    state.save_sandbox(sandbox)
    state.save_container(container)
    assert list(State(tmp_path).load_sandboxes()) == [sandbox]
    assert list(State(tmp_path).load_containers()) == [container]
    assert container.shown().pid == 7
    state.forget_sandbox("s")
    state.forget_container("c")
    assert [list(folder.iterdir()) for folder in sorted(tmp_path.iterdir())] == [[], []]


def test_the_last_whole_line_counts_and_one_that_was_cut_off_hurts_no_other(tmp_path: Path) -> None:
    state = State(tmp_path)
    sandbox = SandboxRecord("s", SandboxConfig("web", "default", "u"), 1.5)
    for address in ("", "10.0.0.1", "10.0.0.2"):
        sandbox.ip = address
        state.save_sandbox(sandbox)
    with (state.sandbox_folder("s") / "sandbox.json").open("a") as file:
        file.write('\n{"id": "s", "conf')
    assert list(state.load_sandboxes()) == [sandbox]
    sandbox.ip = "10.0.0.3"
    state.save_sandbox(sandbox)
    assert list(state.load_sandboxes()) == [sandbox]


def test_what_was_cut_off_goes(tmp_path: Path) -> None:
    state = State(tmp_path)
    for name, text in (("empty", None), ("broken", "{"), ("strange", '{"id": 1}')):
        folder = state.container_folder(name)
        folder.mkdir()
        if text is not None:
            (folder / "container.json").write_text(text)
    assert list(state.load_containers()) == []
    assert list((tmp_path / "containers").iterdir()) == []


def test_a_tree_is_removed_whatever_its_permissions_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    tree = tmp_path / "tree"
    (tree / "closed" / "inner").mkdir(parents=True)
    (tree / "closed" / "file").touch()
    (tree / "link").symlink_to(tmp_path / "kept")
    os.mkfifo(tree / "fifo")
    (tree / "closed" / "inner").chmod(0)
    (tree / "closed").chmod(0)
    remove_tree(tree)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]

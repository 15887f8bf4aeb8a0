"""Which folders of a machine a container sees, for several machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from panal.agents.runtime.machine import View, arrange, below, look, needed_paths

DEBIAN: Mapping[str, str | None] = {
    **dict.fromkeys(
        ("boot", "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var")
    ),
    "bin": "usr/bin",
    "lib": "usr/lib",
}


def debian(
    mounts: Sequence[str] = (),
    private: Sequence[str] = (),
    needed: Sequence[str] = (),
    children: Mapping[str, Mapping[str, str | None]] | None = None,
    locked: bool = False,
    more: Sequence[str] = (),
) -> View:
    entries = {**DEBIAN, **dict.fromkeys(more)}
    return arrange(entries, mounts, private=private, needed=needed, children=children or {}, locked=locked)


def test_an_ordinary_machine() -> None:
    assert debian(mounts=("/proc", "/sys", "/dev", "/dev/shm", "/run")) == View(
        overlays=("/etc", "/opt", "/srv", "/usr", "/var"),
        binds=(),
        links=(("/bin", "usr/bin"), ("/lib", "usr/lib")),
        empty=("/dev", "/home", "/media", "/mnt", "/proc", "/root", "/run", "/sys", "/tmp"),
        hidden=(),
        needed=(),
    )


def test_other_folders_are_shown_read_only() -> None:
    assert debian(more=("work", "nix")).binds == ("/nix", "/work")


def test_homes_and_panals_files_are_hidden_where_they_would_be_seen() -> None:
    view = debian(
        private=("/root", "/home/ana", "/var/lib/panal", "/var/lib/panal/clusters/x", "/vault/me"), more=("vault",)
    )
    assert view.hidden == ("/var/lib/panal", "/vault/me")


def test_the_interpreter_stays_visible_in_a_hidden_home() -> None:
    needed = ("/usr", "/home/ana/venv", "/home/ana/venv/lib", "/root/src", "/vault/me/panal")
    view = debian(private=("/home/ana", "/vault/me"), needed=needed, more=("vault",))
    assert view.needed == ("/home/ana/venv", "/root/src", "/vault/me/panal")


def test_mounts_of_the_machine_stay_visible() -> None:
    assert debian(mounts=("/var/log", "/var/log/audit", "/etc/hosts")).overlays == (
        "/etc",
        "/opt",
        "/srv",
        "/usr",
        "/var",
    )
    assert debian(mounts=("/var/log", "/var/log/audit", "/etc/hosts")).binds == ("/var/log",)


def test_locked_mounts_cannot_lie_under_an_overlay() -> None:
    children = {"/var": {"/var/lib": None, "/var/log": None, "/var/cache": None, "/var/run": "/run"}}
    view = debian(mounts=("/var/lib/docker", "/etc/resolv.conf"), locked=True, children=children)
    assert view.overlays == ("/opt", "/srv", "/usr", "/var/cache", "/var/log")
    assert view.binds == ("/etc", "/var/lib")
    assert ("/var/run", "/run") in view.links


def test_a_mount_two_levels_down_leaves_what_lies_beside_it_writable() -> None:
    children: dict[str, dict[str, str | None]] = {
        "/var": {"/var/lib": None, "/var/log": None},
        "/var/lib": {"/var/lib/docker": None, "/var/lib/mysql": None, "/var/lib/dpkg": None, "/var/lib/lock": "/run"},
    }
    view = debian(mounts=("/var/lib/docker", "/var/lib/dpkg/status"), locked=True, children=children)
    assert view.overlays == ("/etc", "/opt", "/srv", "/usr", "/var/lib/mysql", "/var/log")
    assert view.binds == ("/var/lib/docker", "/var/lib/dpkg")
    assert ("/var/lib/lock", "/run") in view.links


def test_a_folder_of_too_many_entries_is_shown_read_only() -> None:
    children: dict[str, dict[str, str | None]] = {
        "/var": {"/var/lib": None, "/var/log": None},
        "/var/lib": {f"/var/lib/{number}": None for number in range(1000)},
    }
    view = debian(mounts=("/var/lib/0",), locked=True, children=children)
    assert view.overlays == ("/etc", "/opt", "/srv", "/usr", "/var/log")
    assert view.binds == ("/var/lib",)


def test_mounts_in_what_is_hidden_do_not_matter() -> None:
    view = debian(mounts=("/var/lib/panal/netns/a",), private=("/var/lib/panal",), locked=True)
    assert "/var" in view.overlays


def test_below() -> None:
    assert [below(path, "/a/b") for path in ("/a/b", "/a/b/c", "/a/bc", "/a")] == [True, True, False, False]
    assert below("/x", "/")


def test_this_machine_shows_python_and_panal() -> None:
    view = look([])
    shown = (*view.overlays, *view.binds, *view.needed)
    assert all(any(below(path, folder) for folder in shown) for path in needed_paths() if path.startswith("/usr"))
    assert "/usr" in shown or any(below(path, "/usr") for path in shown)

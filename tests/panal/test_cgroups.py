"""What a cluster's containers leave among the cgroups is taken away, and only that."""

from __future__ import annotations

from pathlib import Path

from panal import cgroups


def test_clusters_of_one_name_keep_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "demo", tmp_path / "b" / "demo"
    assert cgroups.name(one) != cgroups.name(two)
    assert cgroups.name(one).startswith("demo-")


def test_only_this_clusters_go(tmp_path: Path) -> None:
    mine, other = cgroups.name("/x/demo"), cgroups.name("/y/demo")
    for tree in ("memory", "cpu"):
        (tmp_path / tree / "panal" / mine / "container").mkdir(parents=True)
    (tmp_path / "memory" / "panal" / other / "container").mkdir(parents=True)
    cgroups.remove("/x/demo", tmp_path)
    cgroups.remove("/x/demo", tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["cpu", "memory", "memory/panal", f"memory/panal/{other}", f"memory/panal/{other}/container"]

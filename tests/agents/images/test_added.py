"""Images that the user added: kept, found by any of their names, replaced, forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from panal.agents.images import added, resolve
from panal.agents.images.reference import InvalidReference


def rootfs(tmp_path: Path) -> Path:
    place = tmp_path / "rootfs"
    (place / "bin").mkdir(parents=True)
    return place


def test_an_added_image_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    place = tmp_path / "images"
    added.add(place, "shop:1", str(rootfs(tmp_path)), entrypoint=("/bin/shop",), env={"A": "b"}, user=7)
    for name in ("shop:1", "docker.io/library/shop:1"):
        spec = resolve(
            name, which=lambda program: None, interpreter="python3", added=lambda ref: added.find(place, ref)
        )
        assert (spec.rootfs, spec.entrypoint, spec.env, spec.user) == (
            str(tmp_path / "rootfs"),
            ("/bin/shop",),
            {"A": "b"},
            7,
        )
    assert added.find(place, "docker.io/library/shop:2") is None


def test_it_may_stand_in_for_a_host_image_and_be_forgotten(tmp_path: Path) -> None:
    place = tmp_path / "images"
    added.add(place, "nginx", str(rootfs(tmp_path)))
    assert [spec.ref for spec in added.everything(place)] == ["docker.io/library/nginx:latest"]
    assert (added.remove(place, "nginx"), added.remove(place, "nginx")) == (True, False)


def test_what_is_no_root_file_system_or_no_name_is_refused(tmp_path: Path) -> None:
    for folder in ("/", str(tmp_path / "nothing"), str(tmp_path)):
        with pytest.raises(added.BadImage):
            added.add(tmp_path / "images", "shop", folder)
    with pytest.raises(InvalidReference):
        added.add(tmp_path / "images", "../shop", str(rootfs(tmp_path)))


def test_a_file_that_is_damaged_is_no_image(tmp_path: Path) -> None:
    place = tmp_path / "images"
    added.add(place, "shop", str(rootfs(tmp_path)))
    next(place.iterdir()).write_text("{")
    assert added.find(place, "docker.io/library/shop:latest") is None
    assert list(added.everything(place)) == []

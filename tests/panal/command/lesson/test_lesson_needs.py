"""Which cluster a lesson wants, and what it says to another one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from panal.command.failure import Failure
from panal.command.lesson.needs import check_cluster
from panal.command.lesson.readme import Lesson, parse
from panal.config import dump
from panal.paths import ClusterPaths

from ....onenode import ONE_NODE

ROOT = Path(__file__).resolve().parents[4]


def lesson(name: str) -> Lesson:
    return parse((ROOT / "examples" / name / "README.md").read_text())


def a_cluster(folder: Path, network: str, proxy_mode: str) -> ClusterPaths:
    paths = ClusterPaths(folder / "lab")
    paths.root.mkdir()
    paths.config.write_bytes(dump(dataclasses.replace(ONE_NODE, network=network, proxy_mode=proxy_mode)))
    return paths


def test_a_lesson_about_hosts_says_that_the_loopback_network_has_none(tmp_path: Path) -> None:
    loopback = a_cluster(tmp_path, "loopback", "userspace")
    check_cluster(lesson("limitrange"), loopback, ROOT)
    with pytest.raises(Failure) as refused:
        check_cluster(lesson("services"), loopback, ROOT)
    assert str(refused.value) == (
        "this lesson is not for the cluster 'lab': it shows hosts with networks of their own, and in the network "
        "'loopback' all of them are this machine; see `panal up --network netns`."
    )


def test_a_lesson_about_rules_wants_a_cluster_whose_kernel_has_them(tmp_path: Path) -> None:
    userspace = a_cluster(tmp_path, "netns", "userspace")
    check_cluster(lesson("services"), userspace, ROOT)
    with pytest.raises(Failure, match="forward in user space; see `panal up --proxy-mode netfilter`"):
        check_cluster(lesson("netfilter"), userspace, ROOT)


def test_a_cluster_with_other_nodes_is_told_which_one_the_lesson_is_for(tmp_path: Path) -> None:
    paths = a_cluster(tmp_path, "netns", "netfilter")
    check_cluster(lesson("netfilter"), paths, ROOT)
    with pytest.raises(Failure, match=r"start that with `panal up --config examples/resources/cluster\.yaml`"):
        check_cluster(lesson("resources"), paths, ROOT)

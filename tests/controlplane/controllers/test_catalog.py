from __future__ import annotations

import pytest

from panal.controlplane.controllers.__main__ import parser, seconds
from panal.controlplane.controllers.catalog import CONTROLLERS, chosen


def test_a_star_is_all_and_a_minus_takes_one_away() -> None:
    names = [name for name, _ in CONTROLLERS]
    assert chosen(["*"]) == names
    assert chosen(["*", "-namespace-controller"]) == [name for name in names if name != "namespace-controller"]
    assert chosen(["deployment-controller"]) == ["deployment-controller"]
    with pytest.raises(ValueError, match="'nonsense' is not in the list of known controllers"):
        chosen(["nonsense"])


@pytest.mark.parametrize(("text", "expected"), [("40s", 40), ("1m30s", 90), ("500ms", 0.5), ("2", 2), ("1h", 3600)])
def test_durations_are_gos(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_the_flags_are_those_of_the_namesake() -> None:
    options = parser().parse_args(
        ["--kubeconfig=k", "--root-ca-file=ca", "--cluster-cidr=10.0.0.0/16", "--service-cluster-ip-range=10.1.0.0/16",
         "--node-monitor-grace-period=20s", "--controllers=*", "--leader-elect"]
    )  # fmt: skip
    assert options.node_monitor_grace_period == 20
    assert options.leader_elect == "true"

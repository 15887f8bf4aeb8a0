from __future__ import annotations

from panal.controlplane.controllers.rootca.decide import wanted

SHOP = {"metadata": {"name": "shop"}}


def test_the_ca_is_published_and_repaired() -> None:
    made = wanted(SHOP, None, "PEM")
    assert made is not None
    assert made["metadata"]["name"] == "kube-root-ca.crt"
    assert made["data"] == {"ca.crt": "PEM"}
    assert wanted(SHOP, made, "PEM") is None
    spoilt = {**made, "data": {"ca.crt": "PEM", "more": "x"}}
    assert wanted(SHOP, spoilt, "PEM") == made
    assert wanted(SHOP, made, "NEW") == {**made, "data": {"ca.crt": "NEW"}}


def test_an_ending_namespace_is_left_alone() -> None:
    assert wanted({"metadata": {"name": "shop", "deletionTimestamp": "now"}}, None, "PEM") is None

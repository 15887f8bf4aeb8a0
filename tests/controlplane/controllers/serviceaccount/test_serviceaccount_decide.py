from __future__ import annotations

from panal.controlplane.controllers.serviceaccount.decide import missing


def test_a_namespace_without_its_account_gets_one() -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
    assert missing({"metadata": {"name": "shop"}}, set()) == [account]
    assert missing({"metadata": {"name": "shop"}}, {"default"}) == []


def test_an_ending_namespace_gets_nothing() -> None:
    assert missing({"metadata": {"name": "shop"}, "status": {"phase": "Terminating"}}, set()) == []

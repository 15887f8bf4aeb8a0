"""/version, and that the conformance suite reaches its cluster."""

from __future__ import annotations

import re

from .conftest import Api


async def test_the_version_is_told(api: Api) -> None:
    answer = (await api.get("/version")).ok()
    assert answer.body["major"] == "1"
    assert answer.body["gitVersion"].startswith("v1.")
    assert re.fullmatch("[0-9a-f]+", answer.body["gitCommit"])


async def test_a_namespace_of_ones_own_is_empty(api: Api, namespace: str) -> None:
    assert (await api.get(f"/api/v1/namespaces/{namespace}/pods")).ok().names == []

"""Each definition is found in its file as a parser finds it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from panal.controlplane.apiserver.definitions import Definitions, published
from panal.controlplane.apiserver.schema import VERSION


def test_all_of_the_file_is_found_as_a_parser_finds_it() -> None:
    path = published(VERSION)
    parsed = orjson.loads(path.read_bytes())["$defs"]
    found = Definitions(path)
    assert {name: found.read(name) for name in found.names()} == parsed
    kinds = [
        (kind["group"], kind["version"], kind["kind"])
        for definition in parsed.values()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
    ]
    assert set(found.kinds) == set(kinds)
    assert found.kinds["apps", "v1", "Deployment"] == "io.k8s.api.apps.v1.Deployment"


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    path.write_text('{"$defs": {"io.k8s.api.core.v1.Pod": {"type": "object"}}}')
    with pytest.raises(ValueError, match=r"definitions\.json: no definition"):
        Definitions(path)

"""Each kind's own rules: what is filled in, refused, allowed to change; its status, scale and columns.

A file of kinds/ is one kind's transcript. `object` is a good one; `invalid` are merge patches that make it a bad one,
`warned` those that are let through with a
warning, `refused` patches of the stored one that may not be, `changes` those that may, in order. A cause is written as
`FIELD REASON MESSAGE`, its message as far as the first line goes. {unique} is the test's own name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import MERGE, Answer, Api

Object = dict[str, Any]
FILES = sorted((Path(__file__).parent / "kinds").glob("*.yaml"))
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def missing(wanted: Any, got: Any, path: str = "") -> Iterator[str]:
    """Where an object has not what is wanted; what it has beyond is fine."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from missing(value, got.get(key) if isinstance(got, dict) else None, f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from missing(one, other, f"{path}[{index}]")
    elif wanted != got:
        yield f"{path}: wanted {wanted!r}, got {got!r}"


class Kind:
    """One kind's file, in one test's namespace."""

    def __init__(self, path: Path, namespace: str) -> None:
        self.unique = namespace
        text = path.read_text().replace("{unique}", namespace).replace("{namespace}", namespace)
        self.file: Object = yaml.safe_load(text)
        self.path: str = self.file["resource"]
        self.name: str = self.file.get("name", "good" if "/namespaces/" in self.path else namespace)
        self.object: Object = merged({"metadata": {"name": self.name}}, self.file["object"])

    def causes(self, answer: Answer) -> list[str]:
        """What is wrong, without what differs from one run to the next."""
        if answer.status != 422:
            return [f"{answer.status} {answer.message}".rstrip()]
        found = answer.body.get("details", {}).get("causes") or ()
        lines = (f"{each.get('field', '')} {each['reason']} {each['message']}" for each in found)
        return [_UID.sub("UID", line.partition("\n")[0]).replace(self.unique, "UNIQUE") for line in lines]

    async def wrong(self, api: Api, patch: Object) -> list[str]:
        """Of a new object, made bad by a patch."""
        bad = merged(copy.deepcopy(self.object), patch)
        return self.causes(await api.create(f"{self.path}?dryRun=All", bad))

    async def refused(self, api: Api, patch: Object, below: str = "") -> list[str]:
        """Of a change."""
        return self.causes(await api.patch(f"{self.path}/{self.name}{below}?dryRun=All", patch, MERGE))


async def created(api: Api, kind: Kind) -> Object:
    stored = (await api.create(kind.path, kind.object)).ok().body
    assert list(missing(kind.file.get("filled", {}), stored)) == []
    return dict(stored)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_kind_keeps_its_rules(api: Api, namespace: str, path: Path) -> None:
    kind = Kind(path, namespace)
    for each in kind.file.get("invalid", ()):
        assert await kind.wrong(api, each["with"]) == each["causes"], each["with"]
    for each in kind.file.get("warned", ()):
        bad = merged(copy.deepcopy(kind.object), each["with"])
        assert (await api.create(f"{kind.path}?dryRun=All", bad)).ok().warnings == each["warnings"]
    stored = await created(api, kind)
    where = f"{kind.path}/{kind.name}"
    try:
        for each in kind.file.get("refused", ()):
            assert await kind.refused(api, each["patch"]) == each["causes"], each["patch"]
        generation = stored["metadata"].get("generation")
        for each in kind.file.get("changes", ()):
            changed = (await api.patch(where, each["patch"])).ok().body
            assert list(missing(each.get("makes", each["patch"]), changed)) == []
            if generation is not None:
                generation += each.get("generations", 1)
                assert changed["metadata"]["generation"] == generation, each["patch"]
        await _status(api, kind, where)
        if "scale" in kind.file:
            scaled = (await api.patch(f"{where}/scale", {"spec": {"replicas": kind.file["scale"]}})).ok().body
            assert (scaled["kind"], scaled["spec"].get("replicas", 0)) == ("Scale", kind.file["scale"])
            assert (await api.get(where)).ok().body["spec"]["replicas"] == kind.file["scale"]
        table = (await api.get(where, Accept=TABLE)).ok().body
        assert [column["name"] for column in table["columnDefinitions"]] == kind.file["columns"]
    finally:
        gone = await api("DELETE", f"{where}?gracePeriodSeconds=0")
    assert gone.status in (200, 202), gone.message


async def _status(api: Api, kind: Kind, where: str) -> None:
    """The status is written by its subresource, and only there."""
    for each in kind.file.get("status", ()):
        if "causes" in each:
            assert await kind.refused(api, each["patch"], "/status") == each["causes"], each["patch"]
            continue
        ignored = (await api.patch(where, each["patch"])).ok().body
        assert list(missing(each["patch"], ignored)) != [], "the object itself takes no status"
        written = (await api.patch(f"{where}/status", each["patch"])).ok().body
        assert list(missing(each.get("makes", each["patch"]), written)) == []

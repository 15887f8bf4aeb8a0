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


ELSEWHERE = {
    "/api/v1/bindings": "test_reviews.py",
    "/api/v1/componentstatuses": "test_reviews.py",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": "test_reviews.py",
    "/apis/authentication.k8s.io/v1/tokenreviews": "test_reviews.py",
    "/apis/authorization.k8s.io/v1/localsubjectaccessreviews": "test_reviews.py",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "test_reviews.py",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": "test_reviews.py",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "test_reviews.py",
}
"""Kinds that are not stored, and where they are tested: there is nothing to change, show in columns or delete."""


async def test_every_kind_of_kubernetes_has_its_transcript(api: Api) -> None:
    """A kind that discovery tells and this folder does not test would be found here."""
    served = set()
    for group in (await api.get("/apis")).ok().body["groups"]:
        if group["name"] not in OWN_GROUPS:
            continue  # somebody's custom kinds
        for version in group["versions"]:
            where = f"/apis/{version['groupVersion']}"
            found = (await api.get(where)).ok().body["resources"]
            served |= {f"{where}/{each['name']}" for each in found if "/" not in each["name"]}
    core = (await api.get("/api/v1")).ok().body["resources"]
    served |= {f"/api/v1/{each['name']}" for each in core if "/" not in each["name"]}
    told = {re.sub(r"/namespaces/[^/]+(?=/)", "", Kind(path, "x").path) for path in FILES} | ELSEWHERE.keys()
    assert served <= told


OWN_GROUPS = frozenset(
    ("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io",
     "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
     "events.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy",
     "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io")
)  # fmt: skip
"""The groups that come with Kubernetes."""


async def created(api: Api, kind: Kind) -> Object:
    stored = (await api.create(kind.path, kind.object)).ok().body
    assert list(missing(kind.file.get("filled", {}), stored)) == []
    return dict(stored)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_kind_keeps_its_rules(api: Api, namespace: str, path: Path, settled: Any) -> None:
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
        for each in kind.file.get("changes", ()):
            counted = "generation" in stored["metadata"]
            before = (await settled(where)).body["metadata"]["generation"] if counted else None
            changed = (await api.patch(where, each["patch"])).ok().body
            assert list(missing(each.get("makes", each["patch"]), changed)) == []
            if before is not None:
                assert changed["metadata"]["generation"] == before + each.get("generations", 1), each["patch"]
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

"""Which flow a request belongs to, by the FlowSchemas that every Kubernetes has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import bootstrap, flowcontrol
from panal.controlplane.apiserver.authn import User
from panal.controlplane.apiserver.request import Query, parse

DATA = Path(bootstrap.__file__).parent / "data" / "bootstrap-objects.json"


class Objects:
    """A shelf of decoded objects."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.revision = 1
        self.objects = objects

    def list(self) -> list[Any]:
        return [_Item(each) for each in self.objects]


class _Item:
    def __init__(self, obj: dict[str, Any]) -> None:
        self.name = obj["metadata"]["name"]
        self._obj = obj

    def decode(self) -> dict[str, Any]:
        return self._obj


def recorded(plural: str) -> Objects:
    found = orjson.loads(DATA.read_bytes())["objects"][plural]
    return Objects([{**each, "metadata": {**each["metadata"], "uid": each["metadata"]["name"]}} for each in found])


@pytest.fixture
def control() -> flowcontrol.FlowControl:
    return flowcontrol.FlowControl(recorded("flowschemas"), recorded("prioritylevelconfigurations"))  # type: ignore[arg-type]


def where(control: flowcontrol.FlowControl, name: str, group: str, method: str, path: str) -> tuple[str, str, bool]:
    """(schema, level, exempt) of a request."""
    user = User(name, (group, "system:authenticated"))
    flow = control.flow(user, parse(method, path, Query("")))
    return flow.headers.get(flowcontrol.SCHEMA_UID, ""), flow.headers.get(flowcontrol.LEVEL_UID, ""), flow.exempt


ACCOUNT = "system:serviceaccount:"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x"
PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    ("name", "group", "request_", "found"),
    [
        ("admin", "system:masters", f"GET {PODS}", ("exempt", "exempt", True)),
        ("jane", "devs", f"GET {PODS}", ("global-default", "global-default", False)),
        ("jane", "devs", "GET /readyz", ("probes", "exempt", True)),
        ("jane", "devs", "GET /metrics", ("global-default", "global-default", False)),
        ("system:node:n", "system:nodes", "PATCH /api/v1/nodes/n/status", ("system-node-high", "node-high", False)),
        ("system:node:n", "system:nodes", f"GET {PODS}", ("system-nodes", "system", False)),
        ("system:kube-scheduler", "x", f"PUT {LEASE}", ("system-leader-election", "leader-election", False)),
        ("system:kube-scheduler", "x", f"GET {PODS}", ("kube-scheduler", "workload-high", False)),
        (f"{ACCOUNT}kube-system:a", "system:serviceaccounts", f"GET {PODS}",
         ("kube-system-service-accounts", "workload-high", False)),
        (f"{ACCOUNT}default:a", "system:serviceaccounts", f"GET {PODS}", ("service-accounts", "workload-low", False)),
    ],
)  # fmt: skip
def test_a_request_belongs_to_the_first_schema_that_matches(
    control: flowcontrol.FlowControl, name: str, group: str, request_: str, found: tuple[str, str, bool]
) -> None:
    assert where(control, name, group, *request_.split()) == found


def test_schemas_count_as_they_are_now_and_without_their_level_not_at_all() -> None:
    schemas, levels = recorded("flowschemas"), recorded("prioritylevelconfigurations")
    control = flowcontrol.FlowControl(schemas, levels)  # type: ignore[arg-type]
    assert where(control, "jane", "devs", "GET", PODS)[0] == "global-default"
    things = {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["default"]}
    own = {"subjects": [{"kind": "User", "user": {"name": "jane"}}], "resourceRules": [things]}
    spec = {"matchingPrecedence": 50, "priorityLevelConfiguration": {"name": "jane"}, "rules": [own]}
    schemas.objects.append({"metadata": {"name": "jane", "uid": "jane"}, "spec": spec})
    schemas.revision += 1
    assert where(control, "jane", "devs", "GET", PODS)[0] == "global-default"
    levels.objects.append({"metadata": {"name": "jane", "uid": "level"}, "spec": {"type": "Exempt"}})
    levels.revision += 1
    assert where(control, "jane", "devs", "GET", PODS) == ("jane", "level", True)
    assert where(control, "jane", "devs", "GET", f"{PODS}/a")[0] == "global-default"
    assert where(control, "jane", "devs", "GET", "/api/v1/pods")[0] == "global-default"


def test_what_nothing_matches_is_told_nothing() -> None:
    control = flowcontrol.FlowControl(Objects([]), Objects([]))  # type: ignore[arg-type]
    assert control.flow(User("jane"), parse("GET", PODS, Query(""))) is flowcontrol.NOWHERE

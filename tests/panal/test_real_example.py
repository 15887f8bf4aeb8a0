"""The manifests of the real applications say what the picture and the course do; `make test-real` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "miempresa" / "real"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Object]:
    found = [
        obj for file in sorted((FOLDER / "manifests").glob("*.yaml")) for obj in yaml.safe_load_all(file.read_text())
    ]
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}


def container(objects: dict[tuple[str, str], Object], deployment: str, name: str) -> Object:
    spec = objects["Deployment", deployment]["spec"]["template"]["spec"]
    return next(item for item in spec["containers"] if item["name"] == name)


def seconds(probe: Object) -> int:
    return int(probe["periodSeconds"] * probe["failureThreshold"])


def test_the_services_have_the_addresses_and_ports_of_the_picture(objects: dict[tuple[str, str], Object]) -> None:
    seen = {
        name: (obj["spec"]["clusterIP"], obj["spec"]["ports"][0]["port"], obj["spec"]["ports"][0].get("nodePort"))
        for (kind, name), obj in objects.items()
        if kind == "Service"
    }
    assert seen == {
        "mariadb-service": ("10.10.1.101", 3307, None),
        "wp-service": ("10.10.1.102", 8080, None),
        "nginx": ("10.10.1.105", 8081, 30880),
    }


def test_wordpress_is_two_replicas_that_know_the_database_by_its_service_and_share_a_claim(
    objects: dict[tuple[str, str], Object],
) -> None:
    wordpress = objects["Deployment", "wp"]["spec"]
    assert wordpress["replicas"] == 2
    assert {"name": "WORDPRESS_DB_HOST", "value": "mariadb-service:3307"} in container(objects, "wp", "wordpress")[
        "env"
    ]
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in wordpress["template"]["spec"]["volumes"]]
    assert claims == ["wp-content"]
    assert objects["PersistentVolumeClaim", "wp-content"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_database_has_three_minutes_lives_by_its_administrator_and_is_ready_by_an_ordinary_user(
    objects: dict[tuple[str, str], Object],
) -> None:
    mariadb = container(objects, "mariadb", "mariadb")
    assert seconds(mariadb["startupProbe"]) == 180
    for probe in ("startupProbe", "livenessProbe"):
        assert "-uroot" in mariadb[probe]["exec"]["command"][-1]
        assert mariadb[probe]["exec"]["command"][-1].endswith(" status")  # `ping` succeeds for whoever is refused, too
    assert '-u"$MARIADB_USER"' in mariadb["readinessProbe"]["exec"]["command"][-1]


def test_wordpress_lives_by_a_file_which_maintenance_leaves_alone_and_is_ready_by_a_page(
    objects: dict[tuple[str, str], Object],
) -> None:
    wordpress = container(objects, "wp", "wordpress")
    assert wordpress["livenessProbe"]["httpGet"]["path"].endswith(".gif")
    assert wordpress["readinessProbe"]["httpGet"]["path"].endswith(".php")


def test_limits_and_a_quota_are_in_the_namespace_and_every_container_asks_for_something(
    objects: dict[tuple[str, str], Object],
) -> None:
    assert objects["LimitRange", "defaults"]["metadata"]["namespace"] == "miempresa"
    assert objects["ResourceQuota", "miempresa"]["metadata"]["namespace"] == "miempresa"
    asked = {
        name: set(item["resources"])
        for (kind, _), obj in objects.items()
        if kind == "Deployment"
        for item in obj["spec"]["template"]["spec"]["containers"]
        for name in [item["name"]]
    }
    assert asked.pop("mariadb") == asked.pop("wordpress") == {"requests", "limits"}
    assert all(resources >= {"requests"} for resources in asked.values())


def test_no_pod_asks_for_privileges(objects: dict[tuple[str, str], Object]) -> None:
    for (kind, _), obj in objects.items():
        if kind == "Deployment":
            pod = obj["spec"]["template"]["spec"]
            everyone = [*pod["containers"], *pod.get("initContainers", ())]
            assert not any("securityContext" in item for item in everyone)
            assert not {"hostNetwork", "hostPID", "securityContext"} & pod.keys()

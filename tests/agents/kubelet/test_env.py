"""Environments of containers, compared whole."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.kubelet.env import ConfigError, environment, expand, own_variables, service_variables
from panal.agents.kubelet.fields import FieldError, Surroundings, field_value, resource_value

AROUND = Surroundings("10.0.0.9", "192.168.0.101", "nodoa", "4", "10Gi")
OBJECTS = {("configmap", "settings"): {"color": b"blue"}, ("secret", "db"): {"password": b"s3cret"}}


def look(kind: str, name: str) -> dict[str, bytes] | None:
    return OBJECTS.get((kind, name))


def test_references_are_replaced_where_known_and_two_dollars_are_one() -> None:
    assert expand("$(A) $$(A) $(B) $A $", {"A": "x"}) == "x $(A) $(B) $A $"


def test_an_environment_of_every_source(pod: Any) -> None:
    spec = {
        "name": "web",
        "envFrom": [{"prefix": "CFG_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "PLAIN", "value": "color is $(CFG_color), host $(API_HOST)"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x", "optional": True}}},
            {"name": "URL", "value": "db://root:$(PASSWORD)@$(MISSING)"},
        ],
    }
    assert environment(pod(spec), spec, AROUND, look, {"API_HOST": "10.10.1.1"}) == {
        "API_HOST": "10.10.1.1",
        "CFG_color": "blue",
        "PLAIN": "color is blue, host 10.10.1.1",
        "NODE": "nodoa",
        "PASSWORD": "s3cret",
        "URL": "db://root:s3cret@$(MISSING)",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "x"}}, 'configmap "no" not found'),
        ({"secretKeyRef": {"name": "db", "key": "x"}}, "couldn't find key x in Secret default/db"),
        ({"configMapKeyRef": {"name": "settings", "key": "x"}}, "couldn't find key x in ConfigMap default/settings"),
    ],
)
def test_what_is_missing_is_told_in_upstreams_words(pod: Any, source: Any, message: str) -> None:
    spec = {"name": "web", "env": [{"name": "X", "valueFrom": source}]}
    with pytest.raises(ConfigError) as error:
        environment(pod(spec), spec, AROUND, look, {})
    assert str(error.value) == message


def service(name: str, ip: str, *ports: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": list(ports)}}


SERVICES = [
    service("kubernetes", "10.10.1.1", {"name": "https", "port": 443, "protocol": "TCP"}),
    service("wp-service", "10.10.1.102", {"port": 8080, "protocol": "TCP"}),
    service("headless", "None", {"port": 1}),
    service("elsewhere", "10.10.1.9", {"port": 1}, namespace="other"),
]


def test_services_are_told_in_the_environment(pod: Any) -> None:
    found = service_variables(pod("web"), SERVICES)
    assert {key: value for key, value in found.items() if key.startswith("WP")} == {
        "WP_SERVICE_SERVICE_HOST": "10.10.1.102",
        "WP_SERVICE_SERVICE_PORT": "8080",
        "WP_SERVICE_PORT": "tcp://10.10.1.102:8080",
        "WP_SERVICE_PORT_8080_TCP": "tcp://10.10.1.102:8080",
        "WP_SERVICE_PORT_8080_TCP_PROTO": "tcp",
        "WP_SERVICE_PORT_8080_TCP_PORT": "8080",
        "WP_SERVICE_PORT_8080_TCP_ADDR": "10.10.1.102",
    }
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert not [key for key in found if key.startswith(("HEADLESS", "ELSEWHERE"))]


def test_without_service_links_only_the_api_is_told(pod: Any) -> None:
    found = service_variables(pod("web", enableServiceLinks=False), SERVICES)
    assert found
    assert all(key.startswith("KUBERNETES_") for key in found)


def test_in_the_loopback_network_pods_learn_their_address_and_bundled_programs_their_network() -> None:
    kubelet = {"PANAL_NETWORK": "loopback", "PANAL_LOW_PORTS": "shifted", "SECRET": "x"}
    assert own_variables("panal/ingress:v1.36.2", "127.1.0.2", kubelet) == {
        "POD_IP": "127.1.0.2",
        "PANAL_NETWORK": "loopback",
        "PANAL_LOW_PORTS": "shifted",
    }
    assert own_variables("nginx", "127.1.0.2", kubelet) == {"POD_IP": "127.1.0.2"}
    assert own_variables("panal/ingress:v1.36.2", "10.1.0.2", {}) == {}


def test_fields_of_the_pod(pod: Any) -> None:
    found = pod("web")
    found["metadata"]["labels"] = {"b": "2", "a": 'say "hi"'}
    assert field_value(found, "metadata.labels", AROUND) == 'a="say \\"hi\\""\nb="2"'
    assert field_value(found, "metadata.labels['b']", AROUND) == "2"
    assert field_value(found, "status.podIP", AROUND) == "10.0.0.9"
    with pytest.raises(FieldError):
        field_value(found, "spec.secret", AROUND)


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.cpu", "1m", "1500"),
        ("limits.memory", "1Mi", "10240"),
        ("requests.memory", None, "0"),
    ],
)
def test_resources_are_divided_and_rounded_up_and_absent_limits_are_the_nodes(
    pod: Any, resource: str, divisor: str | None, value: str
) -> None:
    found = pod({"name": "web", "resources": {"limits": {"cpu": "1500m"}}})
    assert resource_value(found, {"resource": resource, "divisor": divisor}, "web", AROUND) == value

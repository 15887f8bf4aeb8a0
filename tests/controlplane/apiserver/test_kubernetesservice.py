"""default/kubernetes, against a server: written at the start, and again when somebody changed it."""

from __future__ import annotations

import ipaddress

from panal.controlplane.apiserver import kubernetesservice
from panal.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES

from .http.conftest import ApiServer, fresh_apiserver
from .http.recorded import Recorder

__all__ = ["fresh_apiserver"]

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


def test_the_service_has_the_first_address_and_leads_to_the_server() -> None:
    found = dict(kubernetesservice.objects(ipaddress.IPv4Network("10.10.1.0/24"), "192.168.0.100", 6443))
    assert found[SERVICES]["spec"]["clusterIP"] == "10.10.1.1"
    assert found[SERVICES]["spec"]["ports"] == [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]
    assert found[ENDPOINTS]["subsets"][0]["addresses"] == [{"ip": "192.168.0.100"}]
    assert found[ENDPOINTSLICES]["endpoints"][0]["addresses"] == ["192.168.0.100"]


def test_a_restarted_server_repairs_its_endpoints_and_leaves_its_service(fresh_apiserver: ApiServer) -> None:
    fresh_apiserver.start()
    first = Recorder(fresh_apiserver)
    service = first.send("GET", "/api/v1/namespaces/default/services/kubernetes").body
    assert service["spec"]["clusterIPs"] == ["10.96.0.1"]
    wrong = first.send("GET", SLICES).body
    wrong["endpoints"] = [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}]
    assert first.send("PUT", SLICES, wrong).code == 200
    first.close()
    fresh_apiserver.stop()
    fresh_apiserver.start()
    second = Recorder(fresh_apiserver)
    assert second.send("GET", SLICES).body["endpoints"][0]["addresses"] == ["127.0.0.1"]
    assert second.send("GET", "/api/v1/namespaces/default/services/kubernetes").body == service
    second.close()
    assert fresh_apiserver.stop() == 0

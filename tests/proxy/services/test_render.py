"""The table as people read it: whole outputs."""

from __future__ import annotations

from dataclasses import replace

from panal.proxy.services.render import difference, document, lines
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable

MARIADB = ServicePort(
    PortName("default", "mariadb-service", "", "TCP"), ("10.10.1.101",), 3307, endpoints=(Endpoint("10.10.0.9", 3306),)
)
WP = ServicePort(
    PortName("default", "wp-service", "", "TCP"),
    ("10.10.1.102",),
    8080,
    endpoints=(Endpoint("10.10.0.5", 80), Endpoint("10.10.0.70", 80)),
)
NGINX = ServicePort(
    PortName("ingress", "nginx", "http", "TCP"),
    ("10.10.1.105",),
    8081,
    node_port=30880,
    load_balancer_ips=("192.168.0.11",),
    endpoints=(Endpoint("10.10.0.7", 80, True),),
)
DNS = ServicePort(PortName("kube-system", "kube-dns", "dns", "UDP"), ("10.10.1.10",), 53, affinity_seconds=60)


def table(*ports: ServicePort) -> ServiceTable:
    return ServiceTable("nodoa", ("192.168.0.101",), {port.name: port for port in ports})


def test_one_line_a_service_port_as_in_the_picture() -> None:
    assert lines(table(WP, NGINX, DNS, MARIADB)) == [
        "10.10.1.10:53/udp    (kube-dns)         -> (no endpoints)",
        "10.10.1.101:3307     (mariadb-service)  -> 10.10.0.9:3306",
        "10.10.1.102:8080     (wp-service)       -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)",
        "10.10.1.105:8081     (nginx)            -> 10.10.0.7:80",
        "192.168.0.11:8081    (nginx)            -> 10.10.0.7:80",
        "192.168.0.101:30880  (nginx)            -> 10.10.0.7:80",
    ]


def test_services_of_one_name_in_two_namespaces_show_their_namespace() -> None:
    twin = ServicePort(PortName("blog", "wp-service", "", "TCP"), ("10.10.1.103",), 80)
    assert lines(table(WP, twin)) == [
        "10.10.1.102:8080  (default/wp-service)  -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)",
        "10.10.1.103:80    (blog/wp-service)     -> (no endpoints)",
    ]


def test_a_service_with_several_ports_shows_their_names() -> None:
    tcp = ServicePort(PortName("kube-system", "kube-dns", "dns-tcp", "TCP"), ("10.10.1.10",), 53)
    assert lines(table(DNS, tcp)) == [
        "10.10.1.10:53      (kube-dns, dns-tcp)  -> (no endpoints)",
        "10.10.1.10:53/udp  (kube-dns, dns)      -> (no endpoints)",
    ]


def test_an_empty_table_has_no_lines() -> None:
    assert lines(table()) == []


def test_the_document_says_everything_programs_need() -> None:
    shown = document(table(NGINX), "netfilter")
    assert shown["mode"] == "netfilter"
    assert shown["node"] == "nodoa"
    assert shown["lines"] == lines(table(NGINX))
    assert shown["services"] == [
        {
            "namespace": "ingress",
            "service": "nginx",
            "portName": "http",
            "protocol": "TCP",
            "clusterIPs": ["10.10.1.105"],
            "port": 8081,
            "nodePort": 30880,
            "loadBalancerIPs": ["192.168.0.11"],
            "externalIPs": [],
            "sessionAffinitySeconds": None,
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster",
            "loadBalancerSourceRanges": [],
            "healthCheckNodePort": None,
            "endpoints": [{"ip": "10.10.0.7", "port": 80, "local": True}],
            "leaving": [],
        }
    ]


def test_changes_are_told_a_line_a_frontend_what_left_before_what_came() -> None:
    other = replace(WP, endpoints=(Endpoint("10.10.0.5", 80), Endpoint("10.10.0.71", 80)))
    told = [change.text for change in difference(table(WP, MARIADB), table(other, NGINX))]
    assert told == [
        "- 10.10.1.101:3307  (mariadb-service)  -> 10.10.0.9:3306",
        "- 10.10.1.102:8080  (wp-service)  -> 10.10.0.70:80",
        "+ 10.10.1.102:8080  (wp-service)  -> 10.10.0.71:80",
        "+ 10.10.1.105:8081  (nginx)  -> 10.10.0.7:80",
        "+ 192.168.0.11:8081  (nginx)  -> 10.10.0.7:80",
        "+ 192.168.0.101:30880  (nginx)  -> 10.10.0.7:80",
    ]
    assert difference(table(WP), table(WP)) == []


def test_a_service_that_loses_its_last_endpoint_and_one_that_never_had_any() -> None:
    lost = [change.text for change in difference(table(WP), table(replace(WP, endpoints=()), DNS))]
    assert lost == [
        "- 10.10.1.102:8080  (wp-service)  -> 10.10.0.5:80 | 10.10.0.70:80",
        "+ 10.10.1.10:53/udp  (kube-dns)  -> (no endpoints)",
    ]


def test_policies_and_ranges_are_said_where_they_matter() -> None:
    picky = replace(NGINX, external_local=True, source_ranges=("192.168.1.0/24",), endpoints=WP.endpoints)
    assert lines(table(replace(WP, internal_local=True, local_endpoints=WP.endpoints[:1]), picky)) == [
        "10.10.1.102:8080     (wp-service)  -> 10.10.0.5:80   (this node's only)",
        "10.10.1.105:8081     (nginx)       -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)",
        "192.168.0.11:8081    (nginx)       -> (no endpoints here: dropped)   (this node's only; for 192.168.1.0/24)",
        "192.168.0.101:30880  (nginx)       -> (no endpoints here: dropped)   (this node's only)",
    ]

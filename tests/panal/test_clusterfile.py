"""cluster.yaml: what it may say, what is added, and how errors are told."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panal import clusterfile
from panal.clusterfields import ClusterFileError
from panal.config import Frontend, dump, load_cluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "miempresa" / "cluster.yaml"


def resolved(text: str | None = None, *, name=None, nodes=None, network="netns"):
    document = None if text is None else {"apiVersion": "panal.dev/v1", "kind": "Cluster", **yaml.safe_load(text)}
    return clusterfile.resolve(
        document, "cluster.yaml", name=name, nodes=nodes, network=network, proxy_mode="userspace", runtime="plain"
    )


def test_the_example_is_the_picture():
    document = clusterfile.read(EXAMPLE)
    config = clusterfile.resolve(
        document, "x", name=None, nodes=None, network="netns", proxy_mode="netfilter", runtime="namespaces"
    )
    assert [(node.name, node.address, node.pod_cidr, node.cpu, node.memory) for node in config.nodes] == [
        ("nodo1", "192.168.0.100", "10.10.0.0/26", "4", "10Gi"),
        ("nodoa", "192.168.0.101", "10.10.0.64/26", "4", "10Gi"),
        ("nodob", "192.168.0.102", "10.10.0.128/26", "4", "10Gi"),
        ("nodoc", "192.168.0.103", "10.10.0.192/26", "4", "10Gi"),
    ]
    assert config.control_plane.name == "nodo1"
    assert config.service_cidr == "10.10.1.0/24"
    assert config.dns_service_ip == "10.10.1.10"
    assert config.load_balancer.frontends == (Frontend(80, 30880),)
    assert config.external_dns.domains == ("miempresa.com",)
    assert not config.ingress.enabled
    assert [(host.name, host.address) for host in config.hosts] == [("menchupc", "192.168.0.200")]


def test_a_forward_proxy_is_there_only_where_it_is_configured(tmp_path):
    assert resolved().forward_proxy is None
    config = resolved(
        "spec: {forwardProxy: {connectPorts: [443, 8443], blocked: [{host: 10.0.0.0/8, reason: n1}, {host: '*.b.c'}]}}",
        network="loopback",
    )
    proxy = config.forward_proxy
    assert proxy is not None
    assert (proxy.name, proxy.address, proxy.port, proxy.tunnel_ports) == ("proxy", "127.168.0.3", 3128, (443, 8443))
    assert [(item.host, item.reason) for item in proxy.blocked] == [
        ("10.0.0.0/8", "n1"),
        ("*.b.c", "not allowed by the company"),
    ]
    (tmp_path / "cluster.json").write_bytes(dump(config))
    assert load_cluster(tmp_path / "cluster.json") == config


def test_without_a_file_there_are_four_nodes_with_kubernetes_usual_networks():
    config = resolved()
    assert [node.name for node in config.nodes] == ["nodo1", "nodoa", "nodob", "nodoc"]
    assert [node.control_plane for node in config.nodes] == [True, False, False, False]
    assert (config.name, config.pod_cidr, config.service_cidr, config.dns_service_ip) == (
        "panal",
        "10.244.0.0/16",
        "10.96.0.0/12",
        "10.96.0.10",
    )
    assert config.nodes[3].pod_cidr == "10.244.3.0/24"
    assert clusterfile.wishes(None, "x") == ("auto", "auto", "auto")


def test_nodes_after_the_26th_get_two_letters():
    config = resolved(nodes=29)
    assert [config.nodes[index].name for index in (26, 27, 28)] == ["nodoz", "nodoaa", "nodoab"]
    assert len({node.pod_cidr for node in config.nodes}) == 29


def test_the_first_node_is_the_control_plane_unless_another_one_is():
    text = "spec: {nodes: [{name: a, address: 192.168.0.5}, {name: b, address: 192.168.0.6, controlPlane: true}]}"
    assert resolved(text).control_plane.name == "b"


def test_in_loopback_every_address_starts_with_127():
    config = resolved("spec: {ingress: {clusterIP: 10.96.0.80}}", network="loopback")
    found = [
        config.lan, config.pod_cidr, config.service_cidr, config.dns_service_ip, *config.load_balancer.addresses,
        config.load_balancer.address, config.external_dns.address, config.ingress.cluster_ip,
        *(host.address for host in config.hosts), *(node.address for node in config.nodes),
        *(node.pod_cidr for node in config.nodes),
    ]  # fmt: skip
    assert all(address.startswith("127.") for address in found)
    assert config.nodes[1].address == "127.168.0.101"


def test_networks_that_only_overlap_in_loopback_are_refused_there():
    text = "spec: {podCIDR: 10.168.0.0/16}"
    assert resolved(text).pod_cidr == "10.168.0.0/16"
    with pytest.raises(ClusterFileError, match=r"spec\.podCIDR.*overlaps spec\.lan"):
        resolved(text, network="loopback")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("specs: {}", r"cluster\.yaml: specs: there is no such field; known ones are"),
        ("spec: {nodez: []}", r"spec\.nodez: there is no such field"),
        ("spec: {nodes: [{name: UPPER, address: 192.168.0.1}]}", r"spec\.nodes\[0\]\.name: 'UPPER' is no host name"),
        ("spec: {nodes: [{name: a}]}", r"spec\.nodes\[0\]\.address: is missing"),
        ("spec: {nodes: [{name: a, address: 10.1.1.1}]}", r"nodes\[0\]\.address: 10\.1\.1\.1 is outside spec\.lan"),
        ("spec: {nodes: [{name: a, address: 192.168.0.10}]}", r"192\.168\.0\.10 is taken by spec\.nodes\[0\]"),
        ("spec: {nodes: []}", r"spec\.nodes: are 0"),
        ("spec: {nodes: [{name: a, address: 192.168.0.1, cpu: many}]}", r"nodes\[0\]\.cpu: 'many' is no quantity"),
        ("spec: {nodes: [{name: a, address: 192.168.0.1, pods: 0}]}", r"nodes\[0\]\.pods: is 0"),
        ("spec: {lan: 300.0.0.0/16}", r"spec\.lan: '300\.0\.0\.0/16' is no IPv4 network"),
        ("spec: {lan: 192.168.0.1/16}", r"spec\.lan: .*host bits set"),
        ("spec: {podCIDR: 10.96.0.0/16}", r"spec\.serviceCIDR: .*overlaps spec\.podCIDR"),
        ("spec: {podCIDR: 10.10.0.0/29}", r"spec\.podCIDR: .*too small for 4 nodes"),
        ("spec: {dnsServiceIP: 10.1.0.1}", r"spec\.dnsServiceIP: 10\.1\.0\.1 is outside"),
        ("spec: {nodePortRange: 5}", r"spec\.nodePortRange: 5 is no range"),
        ("spec: {ingress: {nodePort: 80}}", r"spec\.ingress\.nodePort: 80 is outside"),
        ("spec: {ingress: {enabled: 'yes'}}", r"spec\.ingress\.enabled: is 'yes'; write true or false"),
        ("spec: {loadBalancer: {addresses: 1.2.3.4}}", r"spec\.loadBalancer\.addresses: is no range"),
        ("spec: {loadBalancer: {frontends: [80]}}", r"spec\.loadBalancer\.frontends\[0\]: is not a mapping"),
        ("spec: {externalDNS: {domains: [A_B]}}", r"spec\.externalDNS\.domains\[0\]: 'A_B' is no domain"),
        ("spec: {forwardProxy: {blocked: [{host: a b}]}}", r"spec\.forwardProxy\.blocked\[0\]\.host: 'a b' is no host"),
        ("spec: {forwardProxy: {connectPorts: [0]}}", r"spec\.forwardProxy\.connectPorts\.0: is 0"),
        ("spec: {forwardProxy: {address: 192.168.0.2}}", r"spec\.forwardProxy: 192\.168\.0\.2 is taken by spec\.ext"),
        (
            "spec: {externalDNS: {updateKeys: [{name: panal, secret: '!'}]}}",
            r"spec\.externalDNS\.updateKeys\[0\]\.secret: is no secret in Base64",
        ),
        ("spec: {externalDNS: {domains: []}}", r"spec\.externalDNS\.domains: is empty"),
        ("spec: {edge: {apiPort: 70000}}", r"spec\.edge\.apiPort: is 70000"),
        ("metadata: {name: ../up}", r"metadata\.name: '\.\./up' is no cluster name"),
        ("spec: []", r"spec: is not a mapping"),
        ("spec: {loadBalancer: {frontends: 80}}", r"spec\.loadBalancer\.frontends: is not a list"),
        (
            "spec: {loadBalancer: {frontends: [{port: 80, nodePort: 30880}, {port: 80, nodePort: 30881}]}}",
            r"spec\.loadBalancer\.frontends\[1\]\.port: 80 is there already",
        ),
        ("spec: {loadBalancer: {addresses: 10.0.0.1-10.0.0.9}}", r"addresses: 10\.0\.0\.1 is outside spec\.lan"),
        (
            "spec: {loadBalancer: {addresses: 192.168.0.90-192.168.0.110}}",
            r"holds 192\.168\.0\.100, the address",
        ),
        (
            "spec: {nodes: [{name: a, address: 192.168.255.255}]}",
            r"address: 192\.168\.255\.255 is .* first or last",
        ),
        ("spec: {nodes: [{name: a, address: 192.168.0.1, labels: {a b: c}}]}", r"labels: 'a b': 'c' is no label"),
        ("spec: {nodes: [{name: a, address: 192.168.0.1, cpu: 1e400}]}", r"cpu: .* is no quantity"),
        ("spec: {podCIDR: 10.0.0.0/7}", r"spec\.podCIDR: 10\.0\.0\.0/7 is too wide"),
        ("spec: {podCIDR: 127.1.0.0/16}", r"spec\.podCIDR: 127\.1\.0\.0/16 is not for hosts"),
        ("spec: {podCIDR: 239.1.0.0/16}", r"spec\.podCIDR: 239\.1\.0\.0/16 is not for hosts"),
        ("spec: {serviceCIDR: 255.255.255.255/32}", r"spec\.serviceCIDR: .* is not for hosts"),
        ("spec: {serviceCIDR: 10.96.0.0/29}", r"spec\.serviceCIDR: 10\.96\.0\.0/29 is too small"),
        ("spec: {dnsServiceIP: 10.96.0.1}", r"spec\.dnsServiceIP: 10\.96\.0\.1 is taken by the API server"),
        ("spec: {ingress: {clusterIP: 10.96.0.10}}", r"spec\.ingress\.clusterIP: .* is taken by spec\.dnsServiceIP"),
        ("spec: {edge: {apiPort: 1" + "0" * 4000 + "}}", r"spec\.edge\.apiPort: is a huge number"),
        ("spec: {edge: {apiPort: 0x1" + "0" * 5000 + "}}", r"spec\.edge\.apiPort: is a huge number"),
        ('spec: {"a\\n\\x1bb": 1}', r"spec\.'a\\n\\x1bb': there is no such field"),
    ],
)
def test_what_cannot_be_is_told_with_its_place_and_the_way_out(text, words):
    with pytest.raises(ClusterFileError, match=words) as told:
        resolved(text)
    assert str(told.value).endswith(".")
    assert ";" in str(told.value)


def test_a_kind_of_something_else_is_refused():
    with pytest.raises(ClusterFileError, match="kind: is 'Deployment'; write `kind: Cluster`"):
        clusterfile.resolve(
            {"apiVersion": "panal.dev/v1", "kind": "Deployment"}, "x", name=None, nodes=None, network="netns",
            proxy_mode="userspace", runtime="plain",
        )  # fmt: skip


def test_two_control_planes_and_contradicting_counts_are_refused():
    nodes = "[{name: a, address: 192.168.0.5, controlPlane: true}, {name: b, address: 192.168.0.6, controlPlane: true}]"
    with pytest.raises(ClusterFileError, match=r"nodes\[1\]\.controlPlane: a second control plane"):
        resolved(f"spec: {{nodes: {nodes}}}")
    with pytest.raises(ClusterFileError, match="lists 1 nodes, --nodes says 3"):
        resolved("spec: {nodes: [{name: a, address: 192.168.0.5}]}", nodes=3)
    with pytest.raises(ClusterFileError, match="--nodes: is 0"):
        resolved(nodes=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read: No such file"),
        ("a: [", "line [12]: .*correct the YAML"),
        ("- a", "no cluster stands here"),
        ("\x00", "YAML"),
        ("a: 2026-13-45", "correct the YAML"),
        ("a: !!bool x", "correct the YAML"),
        ("a: !!timestamp x", "correct the YAML"),
        ("a: " + "9" * 5000, "correct the YAML"),
        ("[" * 100_000, "levels|YAML"),
        ("- " * 100_000, "levels|YAML"),
        ("x" * (clusterfile.LIMIT + 1), "larger than 1 MiB"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, content, words):
    path = tmp_path / "cluster.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClusterFileError, match=words) as told:
        clusterfile.read(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("cidr", "count"), [("10.0.0.0/16", 1), ("10.0.0.0/16", 200), ("10.0.0.0/24", 4), ("10.0.0.0/27", 4)]
)
def test_parts_of_the_pod_network_are_equal_inside_it_and_apart(cidr, count):
    whole = IPv4Network(cidr)
    parts = clusterfile.divide(whole, count)
    assert len(parts) == count
    assert len({part.prefixlen for part in parts}) == 1
    assert all(part.subnet_of(whole) and part.num_addresses >= 8 for part in parts)
    assert not any(a.overlaps(b) for i, a in enumerate(parts) for b in parts[:i])


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.0.0.0/8", "192.168.0.0/32", "0.0.0.0/0", "255.255.255.255", "a", "1-2", "١-٢"])
    | st.dates()
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*clusterfile.FIELDS, "name", "address", "cpu", "port", "nodePort", "labels", "pods"])
            | st.text(max_size=3)
            | st.integers()
            | st.none(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
"""What YAML may hold, wherever it stands."""
ADDRESSES = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))
NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: str(IPv4Network((pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1])))
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "lan": NETWORKS, "podCIDR": NETWORKS, "serviceCIDR": NETWORKS, "dnsServiceIP": ADDRESSES,
        "nodes": st.lists(st.fixed_dictionaries({"name": st.sampled_from("abcd"), "address": ADDRESSES}), max_size=4),
        "loadBalancer": st.fixed_dictionaries({"address": ADDRESSES}, optional={"frontends": ANYTHING}),
    },
)  # fmt: skip


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    document=st.one_of(
        st.dictionaries(st.sampled_from(["metadata", "spec"]), ANYTHING),
        st.fixed_dictionaries({"spec": st.dictionaries(st.sampled_from(clusterfile.FIELDS), ANYTHING, max_size=3)}),
        st.fixed_dictionaries({"spec": LIKELY}),
    ),
    network=st.sampled_from(["netns", "loopback"]),
    nodes=st.none() | st.integers(-1, 210),
)
def test_whatever_a_file_holds_is_a_configuration_or_one_sentence(tmp_path_factory, document, network, nodes):
    document = {"apiVersion": "panal.dev/v1", "kind": "Cluster", **document}
    try:
        clusterfile.wishes(document, "x")
        clusterfile.name_of(document, "x")
        config = clusterfile.resolve(
            document, "x", name=None, nodes=nodes, network=network, proxy_mode="userspace", runtime="plain"
        )
    except ClusterFileError as error:
        _assert_a_sentence(str(error))
    else:
        file = tmp_path_factory.getbasetemp() / "written.json"
        file.write_bytes(dump(config))
        assert load_cluster(file) == config


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="ab:-[]{}&*!<|>%#'\"\n ?,0.1_~", max_size=60).map(str.encode))
def test_whatever_bytes_a_file_holds_are_a_document_or_one_sentence(tmp_path_factory, raw):
    file = tmp_path_factory.getbasetemp() / "cluster.yaml"
    file.write_bytes(raw)
    try:
        assert isinstance(clusterfile.read(file), dict)
    except ClusterFileError as error:
        _assert_a_sentence(str(error))


def _assert_a_sentence(told):
    assert told.endswith(".")
    assert told.isprintable()
    assert len(told) < 1000

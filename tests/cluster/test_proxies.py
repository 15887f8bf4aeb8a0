"""The ways in and the way out: examples/proxies and examples/ingresses as their READMEs tell.

With PANAL_TEST_ALL=1 on every network with wires, and with HAProxy, Apache httpd and Caddy beside NGINX.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import harness
import pytest
from harness import Cluster, until

EXAMPLE = harness.ROOT / "examples" / "proxies"
NETNS = [variant for variant in harness.variants() if variant.network == "netns"]
PROXY = ("-x", "http://proxy.miempresa.com:3128")


@pytest.fixture(scope="module", params=NETNS if os.environ.get("PANAL_TEST_ALL") else NETNS[:1], ids=str)
def company(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with harness.a_cluster(request.param, "proxies", "--config", str(EXAMPLE / "cluster.yaml")) as cluster:
        servers = [world(cluster, "news", "192.168.99.1"), world(cluster, "games", "192.168.99.2")]
        cluster.kubectl("apply", "-k", str(EXAMPLE))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        yield cluster
    for server in servers:
        server.wait(10)  # it ended with the cluster


def world(cluster: Cluster, host: str, address: str) -> subprocess.Popen[bytes]:
    """A web server of the world, on a host of its own."""
    server = ["python3", str(EXAMPLE / "server.py"), address, "80"]
    words = [sys.executable, "-m", "panal.command", "shell", "--name", cluster.name, host, "--", *server]
    user = cluster.user
    return subprocess.Popen(user.command(words), env=user.env(), cwd=harness.ROOT, stdin=subprocess.DEVNULL)


def fetched(cluster: Cluster, *arguments: str) -> str:
    return cluster.exec_on("menchupc", "curl", "-s", "--max-time", "5", *arguments, check=False)


def test_the_way_in_hides_the_pods_and_the_way_out_hides_menchu(company: Cluster) -> None:
    reverse = until(lambda: _if("web sees", fetched(company, "http://web.miempresa.com/")))
    assert re.match(r"web sees 10\.244\.\d+\.\d+\n  Host: web\.miempresa\.com\n  X-Forwarded-For: ", reverse)
    direct = until(lambda: _if("news sees", fetched(company, "http://news.example.org/")))
    assert direct == "news sees 192.168.0.200\n  Host: news.example.org\n"
    forward = fetched(company, *PROXY, "http://news.example.org/")
    assert forward == "news sees 192.168.0.3\n  Host: news.example.org\n  Via: 1.1 proxy\n"


def test_a_blocked_host_is_refused_with_the_reason_also_by_tunnel(company: Cluster) -> None:
    until(lambda: _if("games sees", fetched(company, "http://games.example.org/")))
    answer = fetched(company, "-i", *PROXY, "http://games.example.org/")
    assert answer.startswith("HTTP/1.1 403 Forbidden")
    assert "<p>games.example.org is blocked: not during working hours</p>" in answer
    tunnelled = fetched(company, "-i", "-p", *PROXY, "http://games.example.org:443/")
    assert "HTTP/1.1 403 Forbidden" in tunnelled
    assert 'details="games.example.org is blocked: not during working hours"' in tunnelled


def test_everything_that_goes_out_is_logged(company: Cluster) -> None:
    fetched(company, *PROXY, "http://news.example.org/?page=2")
    fetched(company, *PROXY, "http://games.example.org/")
    log = until(lambda: _if("TCP_DENIED", company.panal("logs", "proxy").stdout))
    assert re.search(
        r" 192\.168\.0\.200 TCP_MISS/200 \d+ GET http://news\.example\.org/\?page=2 - HIER_DIRECT/192\.168\.99\.1 -",
        log,
    )
    assert re.search(r" 192\.168\.0\.200 TCP_DENIED/403 \d+ GET http://games\.example\.org/ - HIER_NONE/- -", log)


def test_a_killed_proxy_comes_back(company: Cluster) -> None:
    company.kill("forward-proxy")
    until(lambda: _if("sees 192.168.0.3", fetched(company, *PROXY, "http://news.example.org/")))


def _if(word: str, text: str) -> str:
    assert word in text, text
    return text


# Ingresses side by side: examples/ingresses.

SITE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: site}
spec:
  replicas: 2
  selector: {matchLabels: {app: site}}
  template:
    metadata: {labels: {app: site}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: python
        command: [sh, -c, exec python /app/server.py $POD_IP 8080]
        env: [{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
        volumeMounts: [{name: app, mountPath: /app}]
      volumes: [{name: app, configMap: {name: mirror}}]
---
apiVersion: v1
kind: Service
metadata: {name: site}
spec:
  selector: {app: site}
  ports: [{port: 80, targetPort: 8080}]
"""

RULE = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  ingressClassName: {kind}
  tls: {tls}
  rules:
  - host: {host}
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: site, port: {{number: 80}}}}}}}}]}}
"""


@pytest.fixture(scope="module")
def ingresses(company: Cluster) -> dict[str, str]:
    """The address of each class."""
    company.kubectl("apply", "-f", str(harness.ROOT / "examples" / "ingresses"))
    if os.environ.get("PANAL_TEST_ALL"):
        company.kubectl("apply", "-f", str(harness.ROOT / "examples" / "ingresses" / "more"))
    company.apply(SITE)
    classes = [("public", "panal"), ("inside", "nginx"), ("admin", "admin")]
    if os.environ.get("PANAL_TEST_ALL"):
        there = {"haproxy": "haproxy", "httpd": "apache2", "caddy": "caddy"}
        path = company.user.env()["PATH"]
        classes += [(f"by-{kind}", kind) for kind, program in there.items() if shutil.which(program, path=path)]
    for name, kind in classes:
        company.apply(RULE.format(name=name, kind=kind, host=f"{name}.miempresa.com", tls="[]"))
    for deployment in ("-n=ingress deployment/nginx", "-n=ingress deployment/admin", "deployment/site"):
        company.kubectl("rollout", "status", *deployment.split(), "--timeout=60s")
    addresses = {"public": str(company.config()["load_balancer"]["address"])}
    for name, service in classes[1:]:
        addresses[name] = until(
            lambda service=service: company.get("service", "-n", "ingress", service)["status"]["loadBalancer"][
                "ingress"
            ][0]["ip"]
        )
    return addresses


def code(cluster: Cluster, address: str, host: str, *more: str) -> str:
    return fetched(cluster, "-o", "/dev/null", "-w", "%{http_code}", *more, "-H", f"Host: {host}", f"http://{address}/")


def test_each_class_serves_its_own_ingresses_and_says_where(company: Cluster, ingresses: dict[str, str]) -> None:
    assert len(set(ingresses.values())) == len(ingresses) >= 3
    for name, address in ingresses.items():
        for other in ingresses:
            wanted = "200" if name == other else "404"
            until(lambda a=address, h=f"{other}.miempresa.com", w=wanted: code(company, a, h) == w)
        status = until(lambda name=name: company.get("ingress", name)["status"]["loadBalancer"]["ingress"])
        assert status == [{"ip": address}]


def test_no_request_fails_while_pods_are_replaced_and_rules_change(company: Cluster, ingresses: dict[str, str]) -> None:
    loads = [load_on(company, ingresses, name, 3) for name in ("public", "inside")]
    company.kubectl("rollout", "restart", "deployment/site")
    for number in range(3):
        for kind in ("panal", "nginx"):
            company.apply(
                RULE.format(name=f"{kind}{number}", kind=kind, host=f"{kind}{number}.miempresa.com", tls="[]")
            )
    company.kubectl("rollout", "status", "deployment/site", "--timeout=60s")
    company.kubectl("delete", "ingress", *(f"{kind}{number}" for number in range(3) for kind in ("panal", "nginx")))
    for load in loads:
        told = outcome(load)
        assert told["failed"] == 0, told
        assert told["requests"] > 50, told


def load_on(cluster: Cluster, addresses: dict[str, str], name: str, seconds: float) -> subprocess.Popen[bytes]:
    """Four clients on MenchuPC that ask without end."""
    host = f"{name}.miempresa.com"
    until(lambda: code(cluster, addresses[name], host) == "200")
    words = ["shell", "--name", cluster.name, "menchupc", "--", "python3"]
    load = [str(harness.ROOT / "tests" / "cluster" / "load.py"), str(seconds), "4", addresses[name], host]
    command = cluster.user.command([sys.executable, "-m", "panal.command", *words, *load])
    return subprocess.Popen(command, env=cluster.user.env(), cwd=harness.ROOT, stdout=subprocess.PIPE)


def outcome(load: subprocess.Popen[bytes]) -> Any:
    return json.loads(load.communicate(timeout=60)[0])


def test_killing_controllers_and_netfilters_proxies_fails_no_request(
    company: Cluster, ingresses: dict[str, str]
) -> None:
    """What is in force stays in force; in userspace mode the connections that a proxy moves end with it."""
    load = load_on(company, ingresses, "public", 2.5)
    for node in company.config()["nodes"]:
        company.kill("kube-proxy", f"--hostname-override={node['name']}")
    for words in (("kube-controller-manager",), ("kube-scheduler",)):
        company.kill(*words)
    told = outcome(load)
    assert told["requests"] > 50, told
    if company.variant.proxy_mode == "netfilter":
        assert told["failed"] == 0, told
    else:
        assert told["failed"] <= 60, told
        assert told["outage"] < 2, told
    until(lambda: company.get("pods", "-n", "kube-system")["items"], what="the API server")


VICTIMS = {"load balancer": ("lb", "--address"), "ingress": ("--controller-class=panal.dev/ingress-controller",)}


@pytest.mark.parametrize("victim", VICTIMS.values(), ids=VICTIMS)
def test_after_the_load_balancer_or_the_ingress_is_killed_requests_fail_for_a_moment_only(
    company: Cluster, ingresses: dict[str, str], victim: tuple[str, ...]
) -> None:
    load = load_on(company, ingresses, "public", 4)
    until(lambda: code(company, ingresses["public"], "public.miempresa.com") == "200")
    company.kill(*victim)
    told = outcome(load)
    assert told["requests"] > 50, told
    assert told["outage"] < 3, told
    assert told["failed"] < 4 * told["outage"] / 0.02 + 8, told
    assert code(company, ingresses["public"], "public.miempresa.com") == "200"


def test_a_certificate_is_changed_without_a_restart_by_either_engine(
    company: Cluster, ingresses: dict[str, str]
) -> None:
    for name, kind in (("public", "panal"), ("inside", "nginx")):
        host = f"{name}.miempresa.com"
        company.apply(RULE.format(name=name, kind=kind, host=host, tls=f"[{{hosts: [{host}], secretName: {name}}}]"))
        address = ingresses[name]
        if name == "public":  # the load balancer's own address leads to port 80 only
            address = company.get("pods", "-n", "ingress", "-l", "app.kubernetes.io/name=ingress")["items"][0][
                "status"
            ]["podIP"]
        for issuer in ("first", "second"):
            certificate, key = self_signed(host, issuer)
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": name},
                "stringData": {"tls.crt": certificate, "tls.key": key},
            }
            company.apply(json.dumps(secret))
            ask = ("openssl", "s_client", "-connect", f"{address}:443", "-servername", host)
            until(lambda ask=ask, issuer=issuer: f"O = {issuer}" in company.exec_on("nodo1", *ask, check=False))
        company.apply(RULE.format(name=name, kind=kind, host=host, tls="[]"))


def self_signed(host: str, organization: str) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    oids = x509.NameOID
    subject = x509.Name(
        [x509.NameAttribute(oids.ORGANIZATION_NAME, organization), x509.NameAttribute(oids.COMMON_NAME, host)]
    )
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    made = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), private.decode()


# The load balancer as MetalLB is used.

POOLS = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: company, namespace: metallb-system}
spec: {addresses: [192.168.5.1-192.168.5.9]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: silent, namespace: metallb-system}
spec: {addresses: [192.168.6.1/32], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: company, namespace: metallb-system}
spec: {ipAddressPools: [company]}
"""

BALANCED = """
apiVersion: v1
kind: Service
metadata:
  name: {name}
  annotations: {{{annotation}}}
spec: {{type: LoadBalancer, selector: {{app: site}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


def test_pools_advertisements_and_annotations_are_followed_as_metallb_does(
    company: Cluster, ingresses: dict[str, str]
) -> None:
    until(lambda: company.apply(POOLS), what="the kinds")
    for name, annotation in (
        ("wish", "metallb.io/loadBalancerIPs: 192.168.5.7"),
        ("host", "metallb.io/loadBalancerIPs: 192.168.0.101"),
        ("quiet", "metallb.io/address-pool: silent"),
    ):
        company.apply(BALANCED.format(name=name, annotation=annotation))
    until(lambda: _if("site-", fetched(company, "http://192.168.5.7/")))
    shown = until(lambda: _if("192.168.6.1", company.kubectl("get", "services", "wish", "host", "quiet")))
    assert re.search(r"wish +LoadBalancer +\S+ +192\.168\.5\.7 ", shown)
    assert re.search(r"host +LoadBalancer +\S+ +<pending> ", shown)
    assert "sees" not in fetched(company, "--max-time", "1", "http://192.168.6.1/")  # given and not announced
    described = until(lambda: _if("nodeAssigned", company.kubectl("describe", "service", "wish")))
    assert 'Assigned IP ["192.168.5.7"]' in described
    assert 'announcing from node "lb" with protocol "layer2"' in described
    assert "metallb.io/ip-allocated-from-pool: company" in described
    why = 'Failed to allocate IP for "default/host": "192.168.0.101" is not allowed in config'
    until(lambda: _if(why, company.kubectl("describe", "service", "host")))
    status = company.get("ipaddresspool", "-n", "metallb-system", "company")["status"]
    assert status["assignedIPv4"] + status["availableIPv4"] == 9
    company.kubectl("delete", "service", "wish", "host", "quiet")
    company.kubectl("delete", "-n", "metallb-system", "ipaddresspools,l2advertisements", "--all")

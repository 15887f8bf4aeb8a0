"""examples/proxies as its README tells: the way in and the way out side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

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

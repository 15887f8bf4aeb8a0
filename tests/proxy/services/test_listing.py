"""The table as nft text: a whole output, and nft's own opinion of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from panal.proxy.services.listing import listing
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable

GOLDEN = Path(__file__).parents[2] / "testdata" / "listing.nft"
NFT = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin")
WP = ServicePort(
    PortName("default", "wp-service", "", "TCP"),
    ("10.10.1.102",),
    8080,
    node_port=30880,
    external_ips=("192.168.0.50",),
    endpoints=(Endpoint("10.10.0.5", 80, True), Endpoint("10.10.0.70", 80)),
    local_endpoints=(Endpoint("10.10.0.5", 80, True),),
    external_local=True,
)
TABLE = ServiceTable(
    "nodoa",
    ("192.168.0.101",),
    {
        port.name: port
        for port in (
            WP,
            replace(
                WP,
                name=PortName("default", "twin", "", "TCP"),
                cluster_ips=("10.10.1.103",),
                affinity_seconds=60,
                node_port=0,
                external_local=False,
            ),
            ServicePort(
                PortName("default", "mariadb-service", "", "TCP"),
                ("10.10.1.101",),
                3307,
                node_port=30307,
                endpoints=(Endpoint("10.10.0.9", 3306), Endpoint("10.10.0.73", 3306)),
            ),
            ServicePort(PortName("kube-system", "kube-dns", "dns", "UDP"), ("10.10.1.10",), 53),
        )
    },
)


def text() -> str:
    return "".join(f"{line}\n" for line in listing(TABLE, "10.10.0.0/16"))


def test_the_whole_table_is_one_block_in_the_order_of_services() -> None:
    assert text() == GOLDEN.read_text()


@pytest.mark.nft
@pytest.mark.skipif(not os.environ.get("CI") and NFT is None, reason="no nft here")
def test_nft_takes_the_text_as_it_is() -> None:
    words = ["unshare", "--user", "--map-root-user", "--net", NFT or "", "-c", "-f", "-"]
    done = subprocess.run(words, input=text(), capture_output=True, text=True, timeout=20)
    if "unshare:" in done.stderr:
        pytest.skip("namespaces are refused here")
    assert (done.returncode, done.stderr) == (0, "")

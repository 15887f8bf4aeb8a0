"""What `--listen` takes, and what it refuses."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from panal.clusterfile import resolve
from panal.command.edge import open_all, wanted
from panal.command.failure import Failure
from panal.config import Listen

CONFIG = resolve(
    None, "test", name="t", nodes=1, network="netns", proxy_mode="userspace", runtime="namespaces"
)  # fmt: skip


def test_an_address_and_perhaps_a_port():
    assert wanted("192.0.2.7") == Listen("192.0.2.7", "192.0.2.7")
    assert wanted("192.0.2.7:7443") == Listen("192.0.2.7", "192.0.2.7", 7443)


@pytest.mark.parametrize("text", ["", "nonsense", "192.0.2.7:0", "192.0.2.7:x", "::1"])
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(Failure, match="--listen"):
        wanted(text)


def test_nobody_else_is_let_in_unless_asked_for():
    with ExitStack() as stack:
        config, edges = open_all(CONFIG, stack)
    assert [name for name, _ in edges] == ["api", "http"]
    with ExitStack() as stack:
        config, edges = open_all(replace(CONFIG, listen=Listen("127.0.0.1", "127.0.0.1")), stack)
    assert [name for name, _ in edges] == ["api", "http", "api", "relay"]
    assert config.listen is not None
    assert config.listen.api_port != config.api_port
    assert config.listen.relay_port


def test_an_address_that_is_another_machines_is_refused():
    with ExitStack() as stack, pytest.raises(Failure, match="this machine has no such address"):
        open_all(replace(CONFIG, listen=Listen("192.0.2.7", "192.0.2.7")), stack)

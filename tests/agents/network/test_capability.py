"""What a machine allows is tried, not guessed."""

from __future__ import annotations

import os
import time

from panal.agents.network.capability import find_nft, probe


def test_probing_is_quick_and_leaves_this_process_where_it_was(capability):
    before = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "net", "mnt", "pid")}
    began = time.perf_counter()
    again = probe(os.environ)
    assert time.perf_counter() - began < 0.5
    assert again == capability
    assert {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in before} == before
    with open("/proc/self/mountinfo") as mounts:
        assert "overlay /tmp" not in mounts.read()


def test_a_missing_nft_is_the_reason_given(tmp_path):
    found = probe({"PANAL_NFT": str(tmp_path / "nft")})
    assert found.netfilter is not None
    if found.namespaces is None:
        assert found.netfilter == "the nft program is not installed"


def test_an_nft_that_fails_is_quoted(tmp_path):
    script = tmp_path / "nft"
    script.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
    script.chmod(0o755)
    found = probe({"PANAL_NFT": str(script)})
    if found.namespaces is None:
        assert found.netfilter == "nft refuses NAT rules here: no such thing"


def test_the_named_nft_wins_and_must_be_executable(tmp_path):
    tool = tmp_path / "nft"
    tool.write_text("#!/bin/sh\n")
    assert find_nft({"PANAL_NFT": str(tool)}) is None
    tool.chmod(0o755)
    assert find_nft({"PANAL_NFT": str(tool)}) == str(tool)
    assert find_nft({"PATH": str(tmp_path)}) == str(tool)

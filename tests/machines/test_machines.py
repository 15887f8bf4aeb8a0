"""Stories of several machines: joining, reaching each other, going away, coming back, being refused and removed."""

from __future__ import annotations

import contextlib
import datetime
import os
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from harness import cmdline, processes_below, until
from lab import POD, Company

from panal.pki import Authority

FULL = pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 takes a minute more")


def _process(folder: Path, title: str) -> psutil.Process:
    found = until(lambda: [each for each in processes_below(folder) if title in " ".join(cmdline(each)[:1])])
    assert len(found) == 1
    return found[0]


def test_pods_services_and_names_reach_each_other_across_machines(company: Company):
    company.both_ways()
    assert "another one" in company.office.panal("node", "ls", "--name", "near").stdout
    assert "far" in company.cluster.kubectl("logs", "far") or company.cluster.kubectl("exec", "far", "--", "true") == ""


@FULL
def test_an_agent_that_is_killed_comes_back_and_so_does_the_way(company: Company):
    for user, name in ((company.laptop, "far"), (company.office, "near")):
        _process(user.home / "panal" / "clusters" / name, "panal-relay").kill()
        until(lambda: company.both_ways() is None, seconds=30)


def test_a_refused_join_says_why(company: Company):
    wrong = {
        "knows no token with the id 'abcdef'": {"token": "abcdef.0123456789abcdef"},
        "with another secret": {"token": f"{company.token[:6]}.0123456789abcdef"},
        "a token is six letters": {"token": "nonsense"},
        "not the one you named": {"pin": f"sha256:{'0' * 64}"},
        "no cluster answers at 10.99.0.1:7": {"where": "10.99.0.1:7"},
        "has a node called 'laptop' already": {},
        "and set PANAL_TOKEN": {"token": ""},
    }
    for said, how in wrong.items():
        where = [how.pop("where")] if "where" in how else []
        done = company.join(*where, "--name", "other", check=False, **how)
        assert done.returncode == 1
        assert said in done.stderr, done.stderr
        assert done.stderr.strip().endswith(".")


@FULL
def test_a_cluster_is_found_without_its_address(company: Company):
    pytest.importorskip("zeroconf")
    done = company.join("", "--name", "other", check=False)
    assert "a cluster announces itself at 10.99.0.1:" in done.stdout, done.stderr
    assert "has a node called 'laptop' already" in done.stderr
    nobody = company.join("", "--name", "other", check=False, pin=f"sha256:{'0' * 64}")
    assert "none with the CA hash you named" in nobody.stderr


@FULL
def test_certificates_that_end_soon_are_renewed_and_pods_go_on(company: Company):
    folder = company.laptop.home / "panal" / "clusters" / "far"
    pki = folder / "nodes" / "laptop" / "pki"
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=360)
    old = Authority.create("old", began).server("old", ["old"], began).certificate
    (pki / "kubelet.crt").write_bytes(old)
    before = {name: (pki / name).read_bytes() for name in ("kubelet.crt", "kubelet-client.crt")}
    _process(folder, "panal-relay").kill()  # it looks at them when it starts
    until(lambda: all((pki / name).read_bytes() != pem for name, pem in before.items()), seconds=30)
    for name in before:
        assert x509.load_pem_x509_certificate((pki / name).read_bytes()).not_valid_before_utc > began
    assert (pki / "kubelet.key").stat().st_mode & 0o777 == 0o600
    until(lambda: company.both_ways() is None, seconds=30)
    assert company.cluster.get("pod", "far")["status"]["containerStatuses"][0]["restartCount"] == 0


@FULL
def test_a_machine_that_disappears_comes_back_from_another_address(company: Company):
    company.laptop.pull_cable()
    until(lambda: not company.is_ready(), seconds=90)
    company.laptop.move("10.99.0.77")
    company.laptop.plug_cable()
    until(company.is_ready, seconds=60)
    until(lambda: company.both_ways() is None, seconds=60)


@FULL
def test_a_machine_that_sleeps_is_missed_and_goes_on_when_it_wakes_up(company: Company):
    """A lid is closed: nothing of it runs, and its connections find out when it wakes up."""
    folder = company.laptop.home / "panal" / "clusters" / "far"
    restarts = company.cluster.get("pod", "far")["status"]["containerStatuses"][0]["restartCount"]
    asleep = processes_below(folder)
    for process in asleep:
        with contextlib.suppress(psutil.Error):
            process.suspend()
    try:
        until(lambda: not company.is_ready(), seconds=90)
    finally:
        for process in asleep:
            with contextlib.suppress(psutil.Error):
                process.resume()
    until(company.is_ready, seconds=60)
    until(lambda: company.both_ways() is None, seconds=60)
    assert company.cluster.get("pod", "far")["status"]["containerStatuses"][0]["restartCount"] == restarts


@FULL
def test_a_machine_that_is_restarted_is_the_same_node_again(company: Company):
    """As a power cut ends it: nothing is left but files, and no token is needed."""
    before = company.cluster.get("node", "laptop")["metadata"]["uid"]
    folder = company.laptop.home / "panal" / "clusters" / "far"
    for process in processes_below(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    until(lambda: not processes_below(folder), seconds=20)
    company.laptop.environ = {}
    done = company.laptop.panal("node", "start", "--name", "far", timeout=90)
    assert "This machine is the node 'laptop'" in done.stdout
    assert company.cluster.get("node", "laptop")["metadata"]["uid"] == before
    until(lambda: company.both_ways() is None, seconds=60)
    membership = company.laptop.home / "panal" / "members" / "far.json"
    assert membership.stat().st_mode & 0o777 == 0o600


@FULL
def test_a_control_plane_that_is_restored_from_its_backup_has_its_machines_again(company: Company):
    file = company.office.home / "backup.tar.gz"
    company.office.panal("backup", "--name", "near", str(file))
    company.office.panal("down", "--name", "near")
    company.office.panal("up", "--restore", str(file))
    company.cluster.kubectl("wait", "--for=condition=Ready", "pod/near", "--timeout=60s")
    until(company.is_ready, seconds=60)
    until(lambda: company.both_ways() is None, seconds=60)


@FULL
def test_a_machine_behind_nat_is_reached_like_any_other(company: Company):
    """It dials out; nobody can dial it."""
    machine = company.laptop.lab.behind_nat("hidden", "10.99.0.9", company.laptop.home.parent / "hidden")
    company.adds(machine, "hidden")
    try:
        company.cluster.apply(POD.format(name="inside", node="hidden"))
        company.cluster.kubectl("wait", "--for=condition=Ready", "pod/inside", "--timeout=60s")
        assert company.fetch("near", "http://inside/who") == "inside\n\n"
        until(lambda: company.fetch("far", "http://inside/who") == "inside\n\n", seconds=30)
        assert company.fetch("inside", "http://far/who") == "far\n\n"
        assert "inside" in company.cluster.kubectl("exec", "inside", "--", "cat", "/tmp/w/who")
    finally:
        company.office.panal("node", "rm", "hidden", "--name", "near", "--timeout", "5", check=False)
        machine.panal("down", "--name", "hidden", check=False)


@FULL
def test_a_slow_and_lossy_way_is_a_way(company: Company):
    for machine in (company.laptop, company.office):
        machine.disturb("30ms", 2)
    try:
        until(lambda: company.both_ways() is None, seconds=60)
    finally:
        for machine in (company.laptop, company.office):
            machine.calm()


def test_a_removed_machine_is_refused_from_then_on(company: Company):
    done = company.office.panal("node", "rm", "laptop", "--name", "near", "--timeout", "10")
    assert "evicting default/far" in done.stdout
    log = company.laptop.home / "panal" / "clusters" / "far" / "logs" / "relay.log"
    until(lambda: "removed, and its machine has to join again" in log.read_text(), seconds=20)
    assert "laptop" not in company.cluster.kubectl("get", "nodes")

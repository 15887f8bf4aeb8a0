"""How hosts that are alone on their machines find together, without a cluster: what is written, read and made of it."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import pytest

from panal import bootstraptoken
from panal.agents.node.alone import meeting
from panal.agents.node.components import components, modules_of
from panal.agents.node.prepare import prepare
from panal.clusterfile import read, resolve
from panal.config import Alone, load_node
from panal.paths import ClusterPaths

ROOT = Path(__file__).resolve().parents[4]
MIEMPRESA = ROOT / "examples" / "miempresa"


def config(host, join=Path("/join")):
    document = read(MIEMPRESA / "cluster.yaml")
    found = resolve(
        document, "-", name=None, nodes=None, network="machine", proxy_mode="netfilter", runtime="namespaces"
    )
    return dataclasses.replace(found, alone=Alone(host, str(join)), api_port=6443)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("nodo1", ["runtime-nodo1", "kubelet-nodo1", "network-nodo1", "bring-up"]),
        ("nodob", ["runtime-nodob", "kubelet-nodob", "network-nodob"]),
        ("lb", ["lb"]),
        ("dns", ["dns"]),
        ("menchupc", []),
    ],
)
def test_each_host_runs_its_own_part_and_imports_no_other(host, names):
    found, paths = config(host), ClusterPaths(Path("/home"))
    assert [component.name for component in components(found, paths)] == names
    if host in ("lb", "menchupc"):
        assert not any("apiserver" in module or "kubelet" in module for module in modules_of(found, paths))


def test_the_control_plane_alone_has_keys_for_itself_only_and_keeps_them(tmp_path):
    found, paths = config("nodo1"), ClusterPaths(tmp_path)
    prepare(found, paths)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert not any("nodoa" in name or name in ("lb.conf", "dns.conf") for name in names)
    server = json.loads((paths.node("nodo1").manifests / "kube-apiserver.json").read_text())
    command = server["spec"]["containers"][0]["command"]
    assert "--bind-address=0.0.0.0" in command
    assert not any("edge" in word for word in command)
    before = (paths.pki / "ca.crt").read_bytes()
    prepare(found, paths)
    assert (paths.pki / "ca.crt").read_bytes() == before
    assert load_node(paths.node("nodo1").config).resolver == "192.168.0.2"


def test_the_invitation_names_no_keys_and_stays_the_same_while_the_authority_does(tmp_path):
    found, paths = config("nodo1", tmp_path / "join"), ClusterPaths(tmp_path / "cluster")
    prepare(found, paths)
    invitation, objects = meeting.invite(found, paths)
    meeting.publish(found, invitation)
    again, _ = meeting.invite(found, paths)
    assert again == invitation == meeting.read(tmp_path / "join")
    text = (tmp_path / "join" / "join.json").read_text()
    assert set(json.loads(text)) == {"endpoint", "node_token", "lan_token", "pin"}
    assert "PRIVATE" not in text
    assert repr(invitation).count("token") == 0
    groups = {
        bootstraptoken.field(obj, "auth-extra-groups") for obj in objects if obj["kind"] == "Secret"
    }  # fmt: skip
    assert groups == {"system:bootstrappers:kubeadm:default-node-token", "system:bootstrappers:panal:lan-token"}
    info = next(obj for obj in objects if obj["metadata"]["name"] == "cluster-info")
    for token in (invitation.node_token, invitation.lan_token):
        authority = bootstraptoken.trusted_authority(info, token, invitation.pin)
        assert authority == (paths.pki / "ca.crt").read_bytes()


def test_a_certificate_is_old_in_the_last_third_of_its_life(tmp_path):
    found, paths = config("nodo1"), ClusterPaths(tmp_path)
    prepare(found, paths)
    now = datetime.datetime.now(datetime.UTC)
    later = [now + datetime.timedelta(days=days) for days in (0, 240, 250, 366)]
    left = [meeting.life_left(paths.node("nodo1").kubeconfig, then) for then in later]
    assert [life < meeting.OLD for life in left] == [False, False, True, True]
    assert [life > 0 for life in left] == [True, True, True, False]
    (tmp_path / "broken.conf").write_text("{}")
    assert meeting.life_left(tmp_path / "broken.conf", now) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"endpoint": "x"}', '{"endpoint": 1, "node_token": "x"}', "\0"])
def test_what_is_no_invitation_is_waited_over(tmp_path, text):
    (tmp_path / "join.json").write_text(text)
    assert meeting.read(tmp_path) is None
    assert meeting.read(tmp_path / "missing") is None


def test_the_examples_manifests_are_read_with_the_namespace_that_kubectl_would_give(tmp_path):
    found = meeting.manifests(MIEMPRESA / "manifests")
    places = {(obj["kind"], obj["metadata"]["name"]): obj["metadata"].get("namespace") for obj in found}
    assert places["Deployment", "wp"] == "default"
    assert places["Service", "nginx"] == "ingress"
    assert places["Namespace", "ingress"] is None
    (tmp_path / "x.yaml").write_text("just: words")
    with pytest.raises(ValueError, match="no Kubernetes object"):
        meeting.manifests(tmp_path)

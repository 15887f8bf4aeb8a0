"""The lessons of examples/, each run as its README says, all on one cluster; on every network with PANAL_TEST_ALL=1."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import harness
import orjson
import pytest
from harness import Cluster, until

from panal.command.lesson.readme import parse

LESSONS = harness.ROOT / "examples"
QUICK = ("services", "netfilter", "resources")
"""The lessons that are walked through by default; all with PANAL_TEST_ALL=1."""
VARIANTS = harness.variants() if os.environ.get("PANAL_TEST_ALL") else harness.variants()[:1]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes of 4 cpu and 10Gi, and one for the control plane."""
    found: harness.Variant = request.param
    turn = harness.loopback_turn() if found.network == "loopback" else contextlib.nullcontext()
    configuration = str(LESSONS / "resources" / "cluster.yaml")
    with turn, harness.a_cluster(found, "lessons", "--config", configuration) as cluster:
        yield cluster


@contextlib.contextmanager
def lesson(cluster: Cluster, name: str) -> Iterator[None]:
    """The manifests of a lesson, which bring a namespace of its name; nothing of them stays."""

    def applied() -> bool:
        """A pod is refused as long as its new namespace has no service account; what is there stays as it is."""
        cluster.kubectl("apply", "-f", str(LESSONS / name))
        return True

    until(applied)
    try:
        yield
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def placed(cluster: Cluster, *arguments: str) -> dict[str, list[str | None]]:
    """app -> the nodes of its pods that are not leaving."""
    found: dict[str, list[str | None]] = {}
    for pod in cluster.get("pods", *arguments)["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"]["app"], []).append(pod["spec"].get("nodeName"))
    return {app: sorted(nodes, key=str) for app, nodes in found.items()}


def refused(cluster: Cluster, name: str) -> list[str]:
    said = cluster.kubectl("apply", "-f", str(LESSONS / name / "refused"), check=False)
    return [line.partition(" is forbidden: ")[2] for line in said.splitlines() if "(Forbidden)" in line]


def explained(cluster: Cluster, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(cluster.panal("schedule", "--explain", pod, "-o", "json").stdout)
    return found


def test_requests_decide_who_lands_where_and_what_nobody_uses_nobody_else_can_have(cluster: Cluster) -> None:
    for name in ("10-wp", "20-mariadb", "30-nginx"):
        cluster.kubectl("apply", "-f", str(LESSONS / "resources" / f"{name}.yaml"))
        pod = name.partition("-")[2]
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=30s")
    nodes = placed(cluster)
    assert nodes["mariadb"] == nodes["nginx"] != nodes["wp"]
    with_wp, other = nodes["wp"][0], nodes["nginx"][0]
    cluster.kubectl("apply", "-f", str(LESSONS / "resources" / "later"))
    late = until(lambda: (found := explained(cluster, "latecomer"))["best"] == [] and found)
    facts = {
        node["name"]: next(item for item in node["filters"] if item["name"] == "NodeResourcesFit")
        for node in late["nodes"]
    }
    assert facts[with_wp]["reasons"] == ["Insufficient cpu"]
    assert facts[with_wp]["facts"][0] == "cpu: the node has 4, 3 committed, the pod asks 2"
    assert facts[other]["reasons"] == ["Insufficient memory"]
    assert facts[other]["facts"][1] == "memory: the node has 10Gi, 8Gi committed, the pod asks 3Gi"
    shown = cluster.panal("schedule", "--explain", "latecomer").stdout
    assert "cpu: the node has 4, 3 committed, the pod asks 2" in shown
    said = until(lambda: cluster.get("events", "--field-selector", "reason=FailedScheduling")["items"])
    assert said[0]["message"] == late["message"]
    cluster.kubectl("delete", "pod", "nginx")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/latecomer", "--timeout=30s")
    assert placed(cluster)["latecomer"] == [other]
    assert "no pod called 'nginx'" in cluster.panal("schedule", "--explain", "nginx", check=False).stderr
    cluster.kubectl("delete", "pod", "--all", "--wait=false")


def test_a_limitrange_fills_in_and_refuses(cluster: Cluster) -> None:
    with lesson(cluster, "limitrange"):
        assert cluster.get("pod", "modest", "-n", "limitrange")["spec"]["containers"][0]["resources"] == {
            "limits": {"cpu": "200m", "memory": "128Mi"},
            "requests": {"cpu": "100m", "memory": "64Mi"},
        }
        assert refused(cluster, "limitrange") == [
            "maximum cpu usage per Container is 1, but limit is 2",
            "minimum cpu usage per Container is 50m, but request is 10m",
        ]


def test_a_quota_caps_the_sum_of_a_namespace(cluster: Cluster) -> None:
    at = ("-n", "resourcequota")
    with lesson(cluster, "resourcequota"):
        cluster.kubectl("rollout", "status", "deployment/web", *at, "--timeout=30s")
        cluster.kubectl("scale", "deployment", "web", *at, "--replicas=3")
        said = until(lambda: cluster.get("events", *at, "--field-selector", "reason=FailedCreate")["items"])
        assert said[0]["message"].endswith(
            "is forbidden: exceeded quota: budget, requested: requests.cpu=200m, used: requests.cpu=400m, "
            "limited: requests.cpu=500m"
        )
        until(lambda: cluster.get("quota", "budget", *at)["status"]["used"]["requests.cpu"] == "400m")
        assert len(cluster.get("pods", *at)["items"]) == 2
        words = "failed quota: budget: must specify requests.cpu for: silent; requests.memory for: silent"
        assert refused(cluster, "resourcequota") == [words]


def test_affinity_puts_together_and_keeps_apart(cluster: Cluster) -> None:
    cluster.kubectl("label", "node", "nodoa", "disk=ssd")
    at = ("-n", "affinity")
    try:
        with lesson(cluster, "affinity"):
            wanted = {"cache": ["nodoa", "nodoa"], "database": ["nodoa"], "web": [None, "nodoa", "nodob"]}
            until(lambda: placed(cluster, *at) == wanted, what="everyone in their place")
            until(
                lambda: any(
                    "2 node(s) didn't match pod anti-affinity rules" in event["message"]
                    for event in cluster.get("events", *at, "--field-selector", "reason=FailedScheduling")["items"]
                )
            )
    finally:
        cluster.kubectl("label", "node", "nodoa", "disk-")


def test_a_taint_keeps_off_and_a_toleration_lets_on(cluster: Cluster) -> None:
    at = ("-n", "tolerations")
    cluster.kubectl("taint", "node", "nodob", "dedicated=database:NoSchedule")
    cluster.kubectl("label", "node", "nodob", "dedicated=database")
    try:
        with lesson(cluster, "tolerations"):
            both = {"database": ["nodob"], "web": ["nodoa"] * 3}
            until(lambda: placed(cluster, *at) == both)
            cluster.kubectl("taint", "node", "nodoa", "maintenance=now:NoExecute")
            until(lambda: placed(cluster, *at) == {"database": ["nodob"], "web": [None] * 3})
            cluster.kubectl("taint", "node", "nodoa", "maintenance-")
            until(lambda: placed(cluster, *at) == both)
    finally:
        cluster.kubectl("taint", "node", "nodoa", "maintenance-", check=False)
        cluster.kubectl("taint", "node", "nodob", "dedicated-")
        cluster.kubectl("label", "node", "nodob", "dedicated-")


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="waits for averages of half a minute")
def test_load_makes_replicas_and_takes_them_away(cluster: Cluster) -> None:
    at = ("-n", "autoscaling")
    with lesson(cluster, "autoscaling"):
        cluster.kubectl("rollout", "status", "deployment/web", *at, "--timeout=30s")
        first = cluster.get("pods", *at)["items"][0]["metadata"]["name"]
        cluster.kubectl("exec", first, *at, "--", "touch", "/busy/now")
        until(lambda: cluster.get("deployment", "web", *at)["status"].get("readyReplicas", 0) >= 2, seconds=90)
        cluster.kubectl("exec", first, *at, "--", "rm", "/busy/now")
        until(lambda: cluster.get("deployment", "web", *at)["spec"]["replicas"] == 1, seconds=120)
        said = cluster.get("events", *at, "--field-selector", "reason=SuccessfulRescale")["items"]
        words = "cpu resource utilization (percentage of request) above target"
        assert any(words in event["message"] for event in said)


def test_a_broken_version_harms_nobody_and_is_undone(cluster: Cluster) -> None:
    at = ("-n", "rollout")
    status = ("rollout", "status", "deployment/web", *at, "--timeout=60s")
    with lesson(cluster, "rollout"):
        cluster.kubectl(*status)
        cluster.kubectl("set", "env", "deployment/web", *at, "VERSION=2")
        assert "successfully rolled out" in cluster.kubectl(*status)
        cluster.kubectl("set", "env", "deployment/web", *at, "VERSION=broken")
        assert "exceeded its progress deadline" in cluster.kubectl(*status, check=False)
        ready = [pod["status"]["containerStatuses"][0]["ready"] for pod in cluster.get("pods", *at)["items"]]
        assert sorted(ready) == [False, True, True, True]
        cluster.kubectl("rollout", "undo", "deployment/web", *at)
        cluster.kubectl(*status)
        env = cluster.get("deployment", "web", *at)["spec"]["template"]["spec"]["containers"][0]["env"]
        assert env == [{"name": "VERSION", "value": "2"}]


def test_a_drain_waits_for_the_budget(cluster: Cluster) -> None:
    at = ("-n", "disruption")
    with lesson(cluster, "disruption"):
        cluster.kubectl("rollout", "status", "deployment/shop", *at, "--timeout=30s")
        node = cluster.get("pods", *at)["items"][0]["spec"]["nodeName"]
        try:
            until(lambda: cluster.get("pdb", "shop", *at)["status"]["currentHealthy"] == 1)
            said = cluster.kubectl("drain", node, "--pod-selector=app=shop", "--timeout=1s", check=False)
            assert "Cannot evict pod as it would violate the pod's disruption budget." in said
            assert placed(cluster, *at) == {"shop": [node]}
            cluster.kubectl("scale", "deployment", "shop", *at, "--replicas=2")
            cluster.kubectl("rollout", "status", "deployment/shop", *at, "--timeout=30s")
            cluster.kubectl("drain", node, "--pod-selector=app=shop", "--timeout=40s")
            until(lambda: len(found := placed(cluster, *at)["shop"]) == 2 and node not in found)
        finally:
            cluster.kubectl("uncordon", node)


def test_jobs_end_well_or_not(cluster: Cluster) -> None:
    at = ("-n", "jobs")
    with lesson(cluster, "jobs"):
        cluster.kubectl("wait", "--for=condition=Complete", "job/squares", *at, "--timeout=30s")
        logs = cluster.kubectl("logs", *at, "-l", "batch.kubernetes.io/job-name=squares")
        assert sorted(logs.splitlines()) == [f"{number} squared is {number**2}" for number in range(4)]
        cluster.kubectl("wait", "--for=condition=Failed", "job/hopeless", *at, "--timeout=30s")
        ended = {item["type"]: item for item in cluster.get("job", "hopeless", *at)["status"]["conditions"]}
        assert ended["Failed"]["message"] == "Job has reached the specified backoff limit"


def test_a_statefulsets_pods_keep_their_names(cluster: Cluster) -> None:
    at = ("-n", "statefulset")
    status = ("rollout", "status", "statefulset/db", *at, "--timeout=40s")
    with lesson(cluster, "statefulset"):
        cluster.kubectl(*status)
        names = [pod["metadata"]["name"] for pod in cluster.get("pods", *at)["items"]]
        assert names == ["db-0", "db-1", "db-2"]
        cluster.kubectl("scale", "statefulset", "db", *at, "--replicas=2")
        until(lambda: [pod["metadata"]["name"] for pod in cluster.get("pods", *at)["items"]] == ["db-0", "db-1"])
        cluster.kubectl("delete", "pod", "db-0", *at)
        cluster.kubectl(*status)
        if cluster.variant.network == "loopback":
            return  # only Python programs know the cluster's names there
        address = until(lambda: cluster.get("pod", "db-0", *at)["status"]["podIP"])
        name = "db-0.db.statefulset.svc.cluster.local"
        until(lambda: address in cluster.kubectl("exec", *at, "db-1", "--", "nslookup", name))


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="a cluster of its own, and a gibibyte")
def test_what_is_taken_beyond_the_request_is_given_back_when_somebody_needs_it() -> None:
    folder = LESSONS / "eviction"
    with harness.a_cluster(VARIANTS[0], "memory", "--config", str(folder / "cluster.yaml")) as cluster:
        cluster.kubectl("apply", "-f", str(folder / "wp.yaml"))
        cluster.kubectl("rollout", "status", "deployment/wp", "--timeout=30s")
        before = placed(cluster)["wp"]
        cluster.kubectl("apply", "-f", str(folder / "mariadb.yaml"))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/mariadb", "--timeout=30s")
        (said,) = until(lambda: cluster.get("events", "--field-selector", "reason=Evicted")["items"])
        assert said["involvedObject"]["name"].startswith("wp-")
        assert said["message"].startswith(
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: "
        )
        assert said["message"].endswith("request is 256000Ki, has larger consumption of memory. ")

        def elsewhere() -> bool:
            pods = cluster.get("pods", "-l", "app=wp")["items"]
            found = {pod["status"]["phase"]: [pod["spec"].get("nodeName")] for pod in pods}
            return found.get("Failed") == before and found.get("Running", before) != before

        until(elsewhere)
        assert placed(cluster)["mariadb"] == before


def walked(cluster: Cluster, name: str, *arguments: str, seconds: float = 100) -> None:
    done = cluster.user.panal("lesson", name, "--name", cluster.name, "--yes", *arguments, check=False, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", QUICK)
def test_panal_lesson_walks_through_and_every_step_is_as_the_readme_shows(cluster: Cluster, name: str) -> None:
    told = parse((LESSONS / name / "README.md").read_text())
    if told.needs - {cluster.variant.network, cluster.variant.proxy_mode}:
        done = cluster.user.panal("lesson", name, "--name", cluster.name, "--yes", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "this lesson is not for the cluster" in done.stderr
        return
    walked(cluster, name, *(["--lang", "es"] if name == "services" else []))
    left = {
        item["metadata"]["name"] for item in cluster.get("pods")["items"] if "deletionTimestamp" not in item["metadata"]
    }
    assert left == set()


def test_a_lesson_that_goes_otherwise_says_which_step(cluster: Cluster) -> None:
    examples = cluster.user.home / "examples"
    (examples / "wrong").mkdir(parents=True)
    (examples / "README.md").write_text("1. [wrong](wrong/README.md): What is not so?\n")
    steps = "    $ echo same\n    same\n    $ echo one\n    another\n    $ false\n"
    (examples / "wrong" / "README.md").write_text(f"# Wrong\n\n{steps}")
    words = ["env", f"PANAL_EXAMPLES={examples}", sys.executable, "-m", "panal.command", "lesson"]
    done = cluster.user.run([*words, "wrong", "--yes", "--name", cluster.name], check=False)
    assert done.returncode == 1
    assert "Otherwise than the README shows: step 2, 3 of 3." in done.stdout
    assert "  - another" in done.stdout
    assert "it failed with exit code 1" in done.stdout
    asked = ["script", "-qec", shlex.join([*words, "wrong", "--name", cluster.name]), "/dev/null"]
    typed = cluster.user.run(asked, check=False, stdin="\n\ns\n")  # Enter, Enter, and the third is left out
    assert typed.returncode == 1
    assert typed.stdout.count("Enter runs it") == 3
    assert "Otherwise than the README shows: step 2 of 3." in typed.stdout
    assert cluster.user.run(asked, check=False, stdin="").returncode == 130  # Control-D ends it
    listed = cluster.user.run(words)
    assert "wrong  What is not so?" in listed.stdout
    unknown = cluster.user.run([*words, "../wrong", "--yes", "--name", cluster.name], check=False)
    assert unknown.returncode == 1
    assert "there is no lesson '../wrong'; the lessons are wrong." in unknown.stderr


def rest(config: str | None) -> list[str]:
    """The lessons that are not QUICK and are for that cluster.yaml."""
    found = []
    for path in sorted(LESSONS.glob("*/README.md")):
        told = parse(path.read_text())
        if told.steps and told.steps[0].plain == f"panal up{f' --config {config}' if config else ''}":
            found.append(path.parent.name)
    return [name for name in found if name not in QUICK]


CLUSTERS = {
    None: "lab",
    "examples/resources/cluster.yaml": "more",
    "examples/proxies/cluster.yaml": "proxies",
    "examples/eviction/cluster.yaml": "eviction",
}


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="takes ten minutes")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("config", CLUSTERS, ids=str)
@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_all_other_lessons_too(user: str, config: str | None) -> None:
    if user == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    arguments = ("--config", config) if config else ()
    names = rest(config)
    assert names
    with harness.a_cluster(harness.Variant(user, "netns", "netfilter"), CLUSTERS[config], *arguments) as cluster:
        wrong = {}
        for name in names:
            try:
                walked(cluster, name, "--lang", "en" if user == "root" else "es", seconds=500)
            except AssertionError as error:  # go on: they take their time, and one says nothing of the others
                wrong[name] = str(error)
    assert not wrong, "\n\n".join(wrong.values())

"""What counts as the same output, on samples of real ones."""

from __future__ import annotations

import pytest

from panal.command.lesson.compare import Varying, canonical, compare, unlike

NOTHING = Varying()


def same(expected: str, output: str, varying: Varying = NOTHING) -> bool:
    return compare(expected.splitlines(), output, varying) is not None


PODS = """\
NAME                   READY   STATUS    RESTARTS   AGE
web-67778dc849-jdp54   0/1     Running   0          6s
web-7fbb8d7784-2tcn7   1/1     Running   0          6s"""


def test_pods_of_another_run_are_the_same_in_whatever_order_their_random_names_put_them() -> None:
    again = """\
NAME                   READY   STATUS    RESTARTS   AGE
web-7fbb8d7784-4zq9x   1/1     Running   0          2m31s
web-c5849778c-vbn2t    0/1     Running   0          119m
"""
    assert same(PODS, again)
    assert not same(PODS, again.replace("0/1", "1/1"))
    assert not same(PODS, again.replace("Running   0          2m31s", "Running   1 (3s ago)   2m31s"))
    assert not same(PODS, again + "web-c5849778c-vbn2x    0/1     Running   0          119m\n")


def test_what_a_quota_counts_is_no_age() -> None:
    quota = "Resource         Used   Hard\n--------         ----   ----\nrequests.cpu     400m   500m"
    assert same(quota, quota)
    assert not same(quota, quota.replace("400m", "200m"))


def test_cells_may_be_empty_and_only_what_is_used_varies() -> None:
    shown = """\
NODE / POD      CPU     COMMITTED   USED   MEMORY
nodoa           4000m   3000m       23m    10240Mi
  default/wp            3000m       0m            """
    assert same(shown, shown.replace("23m", "7m "))
    assert not same(shown, shown.replace("4000m   3000m", "4000m   2000m"))


def test_addresses_of_pods_vary_and_those_of_the_companys_lan_do_not() -> None:
    line = "192.168.0.101:30081  (office)  -> 10.244.2.3:8080 | 10.244.3.3:8080   (round robin)"
    assert same(line, line.replace("10.244.2.3", "10.244.1.17"))
    assert not same(line, line.replace("192.168.0.101", "192.168.0.102"))
    assert not same(line, line.replace("30081", "30082"))
    assert not same(line, line.replace(" | 10.244.3.3:8080", ""))


@pytest.mark.parametrize(
    ("line", "again"),
    [
        ("      Started:      Mon, 23 Nov 2026 21:26:12 +0000", "      Started:      Tue, 01 Dec 2026 01:00:02 +0000"),
        ("Warning  Unhealthy  1s (x9 over 91s)  kubelet", "Warning  Unhealthy  12s (x2 over 2m11s)  kubelet"),
        ('pod "db-0" deleted', 'pod "db-0" deleted from statefulset namespace'),
        (
            "1795480119.094      0 192.168.0.200 TCP_DENIED/403 419",
            "1795490000.5     17 192.168.0.200 TCP_DENIED/403 419",
        ),
        ("web    Deployment/web   cpu: 171%/100%   1         3", "web    Deployment/web   cpu: 99%/100%   1         3"),
        ("5. answer     took 2.7 ms", "5. answer     took 12.0 ms"),
        ("src=10.96.0.7 sport=60884 dport=80", "src=10.96.0.7 sport=33001 dport=80"),
        ("30 IN SRV 0 50 8080 10-244-2-4.members.dns.svc.", "30 IN SRV 0 50 8080 10-244-13-40.members.dns.svc."),
        ("ERROR a backup is being restored, 9 s to go", "ERROR a backup is being restored, 11 s to go"),
    ],
)
def test_times_and_counters_vary_and_the_words_around_them_do_not(line: str, again: str) -> None:
    assert same(line, again)
    assert not same(line, "another " + again)


def test_dots_skip_any_number_of_lines() -> None:
    assert same("...\n  Exit Code:    143\n...\nlast", "first\nsecond\n  Exit Code:    143\nx\ny\nlast")
    assert same("first\n...", "first\nand\nmore")
    assert not same("...\n  Exit Code:    143\n...", "first\nsecond")
    assert not same("...\nlast", "last\nand more")


def test_how_many_steps_of_a_rollout_were_seen_does_not_matter() -> None:
    seen = 'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...\n'
    done = 'deployment "web" successfully rolled out'
    assert same(seen + done, done)
    assert same(done, seen + seen + done)
    assert not same(done, seen)


def test_words_that_stand_for_one_another_and_words_that_changed_places() -> None:
    assert not same("node/nodoa cordoned", "node/nodob cordoned")
    assert same("node/nodoa cordoned", "node/nodob cordoned", Varying.of(["nodoa", "nodob"], []))
    swapped = Varying.of([], ["nodoa", "nodob"])
    after = compare(["wp on nodoa"], "wp on nodob", swapped)
    assert after is not None
    assert compare(["nginx on nodob"], "nginx on nodoa", after) is not None
    assert compare(["nginx on nodob"], "nginx on nodob", after) is None  # it is settled who is who


def test_what_is_missing_is_told_as_the_readme_has_it() -> None:
    told = unlike(PODS.splitlines(), PODS.replace("0/1", "1/1"), NOTHING)
    assert told == ["web-67778dc849-jdp54   0/1     Running   0          6s"]


def test_a_name_of_words_is_not_a_random_one() -> None:
    assert canonical(["kube-proxy", "my-ready", "web-admin-panel"]) == ["kube-proxy", "my-ready", "web-admin-panel"]

"""Quotas under concurrency: many creators at once, and never one object too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from .conftest import ApiServer
from .recorded import Recorder, Reply


def test_of_forty_creators_at_once_exactly_as_many_succeed_as_the_quota_allows(apiserver: ApiServer) -> None:
    boss = Recorder(apiserver)
    boss.send("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    boss.send("POST", "/api/v1/namespaces/shop/resourcequotas",
              {"metadata": {"name": "few"}, "spec": {"hard": {"configmaps": "7", "services": "3"}}})  # fmt: skip

    clients = [Recorder(apiserver) for _ in range(40)]

    def create(index: int) -> tuple[Reply, Reply]:
        mine = clients[index]
        settings = mine.send("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": f"c{index}"}})
        service = {"metadata": {"generateName": "s-"}, "spec": {"ports": [{"port": 80}]}}
        return settings, mine.send("POST", "/api/v1/namespaces/shop/services", service)

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(create, range(40)))
    for client in clients:
        client.close()
    assert sorted(first.code for first, _ in replies) == [201] * 7 + [403] * 33
    assert sorted(second.code for _, second in replies) == [201] * 3 + [403] * 37
    words = next(second.body["message"] for _, second in replies if second.code == 403)
    assert words.startswith('services "s-')
    assert words.endswith('" is forbidden: exceeded quota: few, requested: services=1, used: services=3, '
                          "limited: services=3")  # fmt: skip
    removed = boss.send("DELETE", "/api/v1/namespaces/shop/configmaps/" + _first(boss))
    assert removed.code == 200
    assert boss.send("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": "next"}}).code == 201
    boss.close()


def _first(boss: Recorder) -> str:
    listed = boss.send("GET", "/api/v1/namespaces/shop/configmaps").body["items"]
    return str(listed[0]["metadata"]["name"])


def test_a_limit_range_fills_in_and_refuses(apiserver: ApiServer) -> None:
    boss = Recorder(apiserver)
    boss.send("POST", "/api/v1/namespaces", {"metadata": {"name": "small"}})
    boss.send("POST", "/api/v1/namespaces/small/serviceaccounts", {"metadata": {"name": "default"}})
    limit = {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m"}}
    boss.send("POST", "/api/v1/namespaces/small/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limit]}})
    plain = {"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = boss.send("POST", "/api/v1/namespaces/small/pods", plain)
    assert made.body["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
    assert made.body["status"]["qosClass"] == "Burstable"
    greedy = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "2"}}}
    refused = boss.send(
        "POST", "/api/v1/namespaces/small/pods", {"metadata": {"name": "big"}, "spec": {"containers": [greedy]}}
    )
    assert (refused.code, refused.body["message"]) == (
        403, 'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    )  # fmt: skip
    boss.close()

"""The system's namespaces and default/kubernetes stand whatever anybody does."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from panal.controlplane.apiserver import standing

from .conftest import ApiServer
from .test_stories import Http

SERVICE = "/api/v1/namespaces/default/services/kubernetes"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
LEASES = "/api/v1/namespaces/kube-node-lease"


async def test_what_the_cluster_needs_comes_back_when_it_is_deleted_or_changed(fresh_apiserver: ApiServer) -> None:
    fresh_apiserver.start()
    async with aiohttp.ClientSession() as session:
        admin = Http(fresh_apiserver, session, fresh_apiserver.ssl())
        service, endpoints, leases = [(await admin("GET", path))[1] for path in (SERVICE, ENDPOINTS, LEASES)]
        assert (await admin("DELETE", SERVICE))[0] == 200
        wrong = {**endpoints, "subsets": [{"addresses": [{"ip": "10.9.8.7"}], "ports": [{"port": 1}]}]}
        assert (await admin("PUT", ENDPOINTS, wrong))[0] == 200
        code, ending = await admin("DELETE", LEASES)
        assert code == 200
        assert (await admin("PUT", f"{LEASES}/finalize", {**ending, "spec": {}}))[0] == 200
        assert (await anew(admin, SERVICE, service))["spec"]["clusterIP"] == "10.96.0.1"
        assert (await anew(admin, LEASES, leases))["status"] == {"phase": "Active"}
        async with asyncio.timeout(30):
            while (found := (await admin("GET", ENDPOINTS))[1])["subsets"] != endpoints["subsets"]:
                await asyncio.sleep(0.05)
        await asyncio.sleep(2 * standing.PAUSE)
        assert (await admin("GET", ENDPOINTS))[1]["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]


async def anew(admin: Http, path: str, before: dict[str, Any]) -> dict[str, Any]:
    """The object that has taken the place of the one before."""
    async with asyncio.timeout(30):
        while True:
            code, found = await admin("GET", path)
            if code == 200 and found["metadata"]["uid"] != before["metadata"]["uid"]:
                return found
            await asyncio.sleep(0.05)

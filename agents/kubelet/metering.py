"""The paths of the kubelet's port that tell what is used: /stats/summary, /metrics/resource, /metrics/cadvisor."""

from __future__ import annotations

import time

import orjson
from aiohttp import web

from panal import quantity

from ..runtime.contract import RuntimeFailure
from . import exposition, podspec, summary
from .kubelet import Kubelet
from .sampler import Sample
from .summary import PodUse


class Metering:
    """Every answer is made when it is asked for; the sampler shares one sample among those who ask together."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._began = time.time()

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get("/stats/summary", self._summary)
        router.add_get("/metrics/resource", self._resource)
        router.add_get("/metrics/cadvisor", self._cadvisor)

    async def _summary(self, _: web.Request) -> web.Response:
        node = self._kubelet.config.node
        sample = await self._sample()
        told = summary.summary(node.name, quantity.whole(node.memory), self._began, self._pods(sample), sample)
        return web.Response(body=orjson.dumps(told), content_type="application/json")

    async def _resource(self, _: web.Request) -> web.Response:
        sample = await self._sample()
        return _text(exposition.resource(self._pods(sample), sample))

    async def _cadvisor(self, _: web.Request) -> web.Response:
        node = self._kubelet.config.node
        sample = await self._sample()
        milli, memory = quantity.milli(node.cpu), quantity.whole(node.memory)
        return _text(exposition.cadvisor(self._pods(sample), sample, milli, memory))

    async def _sample(self) -> Sample:
        try:
            return await self._kubelet.sampler.sample()
        except (RuntimeFailure, OSError) as error:
            raise web.HTTPServiceUnavailable(text=f"the runtime does not answer: {error}\n") from error

    def _pods(self, sample: Sample) -> list[PodUse]:
        view = self._kubelet.view
        pods = [
            ({**worker.pod, "status": worker.status}, view.pod(podspec.uid(worker.pod)).running())
            for worker in self._kubelet.workers()
        ]
        return summary.pods_used(pods, sample)


def _text(body: str) -> web.Response:
    return web.Response(body=body.encode(), headers={"Content-Type": exposition.CONTENT_TYPE})

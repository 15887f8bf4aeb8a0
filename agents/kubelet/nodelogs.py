"""/logs/ of the kubelet's port: the logs of pods as files and lists of them (`kubectl get --raw .../proxy/logs/`).

There is no more than the folder `pods`. Links are not followed: what is outside of the folder stays there.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

_ENTRIES = 10_000
"""How many names a list has at most."""


class NodeLogs:
    def __init__(self, pods: Path) -> None:
        self._pods = pods

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get("/logs", self._moved)
        router.add_get("/logs/{path:.*}", self._serve)

    async def _moved(self, _: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": "/logs/"})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info["path"]
        first, _, rest = asked.partition("/")
        if not first:
            return web.Response(text=page(["pods/"]), content_type="text/html")
        place = inside(self._pods, rest) if first == "pods" else None
        if place is None:
            raise web.HTTPNotFound(text="404 page not found\n")
        if not place.is_dir():
            return web.FileResponse(place, headers={"Content-Type": "text/plain; charset=utf-8"})
        if not asked.endswith("/"):
            return web.Response(status=301, headers={"Location": quote(asked.rpartition("/")[2]) + "/"})
        return web.Response(text=await asyncio.to_thread(listed, place), content_type="text/html")


def inside(folder: Path, asked: str) -> Path | None:
    """The file or folder that a path names, without links on the way; None when there is none."""
    place = folder
    for name in asked.strip("/").split("/") if asked.strip("/") else ():
        if name in ("", ".", "..") or "\0" in name:
            return None
        place = place / name
        try:
            mode = place.lstat().st_mode
        except OSError:
            return None
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            return None
    return place if place.exists() else None


def listed(folder: Path) -> str:
    """A folder's names, as a page."""
    with os.scandir(folder) as entries:
        names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)[:_ENTRIES]
    return page(names)


def page(names: Sequence[str]) -> str:
    """A list of links."""
    links = "".join(f'<a href="{quote(name)}">{escape(name)}</a>\n' for name in names)
    return f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{links}</pre>\n'

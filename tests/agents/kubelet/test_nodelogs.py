"""The node's logs over HTTP: lists, files, and nothing outside of the folder."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from panal.agents.kubelet.nodelogs import NodeLogs, inside


async def test_folders_are_lists_and_files_are_text(tmp_path: Path) -> None:
    (tmp_path / "ns_p_1" / "c").mkdir(parents=True)
    (tmp_path / "ns_p_1" / "c" / "0.log").write_text("hello\n")
    app = web.Application()
    NodeLogs(tmp_path).register(app.router)
    async with TestClient(TestServer(app)) as client:
        assert '<a href="pods/">pods/</a>' in await (await client.get("/logs/")).text()
        assert '<a href="ns_p_1/">' in await (await client.get("/logs/pods/")).text()
        assert await (await client.get("/logs/pods/ns_p_1/c/0.log")).text() == "hello\n"
        assert (await client.get("/logs/elsewhere")).status == 404


def test_nothing_outside_is_shown(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    for asked in ("../x", "link/passwd", "a//b", "link", "./x", "\0"):
        assert inside(tmp_path, asked) is None

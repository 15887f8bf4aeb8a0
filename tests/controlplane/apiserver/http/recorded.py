"""Answers of a real Kubernetes 1.36.2, asked for again: how a recorded request is made, what is random in an answer."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

DATA = Path(__file__).parents[3] / "testdata" / "kubernetes"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_RANDOM = (
    (UUID, "UID"),
    (TIME, "TIME"),
    (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-XXXXX"),
    (re.compile(r"current: \d+"), "current: RV"),
    (re.compile(r"record \(\d+\)"), "record (RV)"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
)


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a recorded file, in order."""
    found: list[dict[str, Any]] = orjson.loads((DATA / name).read_bytes())["cases"]
    return found


def normalised(value: Any, key: str = "") -> Any:
    """Without what differs from one server, and one second, to the next."""
    if isinstance(value, dict):
        return {name: normalised(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [normalised(item) for item in value]
    if isinstance(value, str):
        if key == "gitCommit":
            return "COMMIT"
        if key == "resourceVersion" and value.isdecimal():
            return "RV"
        for pattern, name in _RANDOM:
            value = pattern.sub(name, value)
    return value


def differences(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Where two answers differ, a line each."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [
            line
            for key in [*wanted, *(key for key in got if key not in wanted)]
            for line in differences(wanted.get(key, "(absent)"), got.get(key, "(absent)"), f"{path}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [
            line
            for index, (one, other) in enumerate(zip(wanted, got, strict=True))
            for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if wanted == got and type(wanted) is type(got) else [f"{path}: wanted {wanted!r}, got {got!r}"]


class Server(Protocol):
    """What of the conftest's ApiServer is needed here."""

    @property
    def url(self) -> str: ...

    def ssl(self, name: str = "admin", *groups: str) -> ssl.SSLContext: ...


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: JSON decoded, anything else as {"text": ...}."""

    code: int
    body: Any
    warnings: list[str]


class Recorder:
    """One connection that makes requests as they were made for the recording."""

    def __init__(self, server: Server, agent: str = "panal") -> None:
        where = urlsplit(server.url)
        self._agent = agent
        self._connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, context=server.ssl(), timeout=20
        )

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "",
        more: Mapping[str, str] = {},
    ) -> Reply:
        headers = {"User-Agent": f"{self._agent}/1", "Accept": accept or "application/json", **more}
        data = None
        if body is not None:
            data = body.encode() if isinstance(body, str) else orjson.dumps(body)
            headers["Content-Type"] = content_type
        self._connection.request(method, path, data, headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        try:
            decoded = orjson.loads(raw)
        except orjson.JSONDecodeError:
            decoded = {"text": raw.decode()}
        return Reply(answer.status, decoded, answer.headers.get_all("Warning") or [])

    def repeat(self, case: dict[str, Any]) -> list[str]:
        """Make a recorded request again; how the answer differs from the recorded one."""
        request = case["request"]
        path = request["path"]
        if "method" not in request:  # of defaults.json: a dry run by the field manager "m"
            path += "?dryRun=All&fieldManager=m"
        reply = self.send(
            request.get("method", "POST"), path, request.get("body"),
            content_type=request.get("ctype", "application/json"), accept=request.get("accept", ""),
        )  # fmt: skip
        wanted = {"code": case["code"], "body": case["response"]}
        got = {"code": reply.code, "body": reply.body}
        if "warnings" in case:
            wanted["warnings"], got["warnings"] = case["warnings"], reply.warnings
        return differences(normalised(wanted), normalised(got))

"""What a request asks for, read from its method, path and query; nothing is looked up yet.

Follows the URL scheme of the API (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from panal.errors import BadRequest, StatusError

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "HEAD": "get"}
_QUERY_FIELDS = 200
"""More parameters than any client sends; protects from queries that are only there to be parsed."""


@dataclass(frozen=True, slots=True)
class Target:
    """A request's verb and object, in RBAC's terms. `resource` is "" for a path that names none."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """What follows the subresource, for proxies."""


class Query:
    """The query's parameters; the first value counts."""

    def __init__(self, text: str) -> None:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_QUERY_FIELDS) if text else []
        except ValueError:
            raise BadRequest("invalid query") from None
        self._values: dict[str, str] = {}
        for key, value in reversed(pairs):
            self._values[key] = value
        self.text = text

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def flag(self, name: str) -> bool:
        """A boolean as Go's runtime.Convert_Slice_string_To_bool reads it: present, and neither false nor 0."""
        return name in self._values and self._values[name].lower() not in ("false", "0")

    def integer(self, name: str) -> int | None:
        """Raises BadRequest in Go's words."""
        text = self._values.get(name, "")
        if not text:
            return None
        if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)


def parse(method: str, path: str, query: Query) -> Target:
    """The target of a request. A path that is no resource's is left whole."""
    segments = path.split("/")
    if "%" in path:
        segments = [unquote(segment) for segment in segments]
    if segments[-1] == "" and len(segments) > 2:
        segments.pop()
    verb = method.lower() if method != "HEAD" else "get"
    if len(segments) > 3 and segments[1] == "api":
        group, version, rest = "", segments[2], segments[3:]
    elif len(segments) > 4 and segments[1] == "apis":
        group, version, rest = segments[2], segments[3], segments[4:]
    else:
        return Target(verb, path)
    if any(part in ("", ".", "..") for part in rest[:4]):
        raise StatusError("the server could not find the requested resource", code=404, reason="NotFound", details={})
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = [*rest[:3], "", ""][:3]
    if resource == "namespaces" and name:
        namespace = name
    verb = _verb(method, name, query if subresource != "proxy" else Query(""))
    return Target(verb, path, group, version, resource, namespace, name, subresource, "/".join(rest[3:]))


def _verb(method: str, name: str, query: Query) -> str:
    if method == "GET":
        if query.flag("watch"):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(method, method.lower())

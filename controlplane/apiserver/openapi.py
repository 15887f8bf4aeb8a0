"""OpenAPI documents of the built-in API, made from the same schemas that objects are checked against.

`/openapi/v3` is the index of one document a group and version (OpenAPI 3.0.0, with the hash of each in its address, so
that clients may keep them); `/openapi/v2` is everything in one (Swagger 2.0). Made at the first request, then kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from panal.resources import Resource, all_resources

from .discovery import VERSION
from .schema import schema

Node = dict[str, Any]

_REFERENCE = "#/$defs/"
_JSON = "application/json"
_YAML = "application/yaml"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_PATCH = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"

_ACTIONS = {
    "get": ("get", "get"), "list": ("get", "list"), "create": ("post", "post"), "update": ("put", "put"),
    "patch": ("patch", "patch"), "delete": ("delete", "delete"), "deletecollection": ("delete", "deletecollection"),
}  # fmt: skip
"""HTTP method and x-kubernetes-action of a verb."""
_WRITE = (
    ("dryRun", "When present, indicates that modifications should not be persisted. Valid values are: All."),
    ("fieldManager", "A name associated with the actor or entity that is making these changes."),
    ("fieldValidation", "How unknown or duplicate fields are treated: Ignore, Warn or Strict."),
)
_LIST = (
    ("allowWatchBookmarks", "boolean"), ("continue", "string"), ("fieldSelector", "string"),
    ("labelSelector", "string"), ("limit", "integer"), ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"), ("sendInitialEvents", "boolean"), ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)  # fmt: skip


def index() -> Node:
    """The answer of /openapi/v3."""
    return {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={etag(path)}"} for path in group_versions()}
    }


@cache
def group_versions() -> tuple[str, ...]:
    """`api/v1`, `apis/apps/v1`, ...: the documents there are."""
    return tuple(dict.fromkeys(item.root.removeprefix("/") for item in all_resources()))


@cache
def etag(path: str) -> str:
    """The hash of a document, upper-case hexadecimal as Kubernetes prints it."""
    return hashlib.sha512(v3(path)).hexdigest().upper()


@cache
def v3(path: str) -> bytes:
    """The document of one group and version. Raises KeyError for one that is not served."""
    if path not in group_versions():
        raise KeyError(path)
    mine = [item for item in all_resources() if item.root == f"/{path}"]
    found: Node = {}
    for item in mine:
        found.update(paths(item))
    wanted = {name for item in mine if (name := schema().definition_name(item))}
    wanted |= {_STATUS, _DELETE_OPTIONS, _PATCH}
    wanted |= {f"{name}List" for name in wanted if f"{name}List" in schema().names()}
    components = {name: _convert(schema().definition(name), "#/components/schemas/") for name in _closure(wanted)}
    return orjson.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
            "paths": found,
            "components": {"schemas": components},
        },
        option=orjson.OPT_SORT_KEYS,
    )


@cache
def v2() -> bytes:
    """The Swagger 2.0 document as JSON."""
    return orjson.dumps(_swagger(), option=orjson.OPT_SORT_KEYS)


@cache
def v2_protobuf() -> bytes:
    """The same as protobuf, for kubectl before 1.29."""
    from .protobuf import openapi

    return openapi.encode(_swagger())


def _swagger() -> Node:
    every: Node = {}
    for item in all_resources():
        every.update({path: swagger_path(found) for path, found in paths(item).items()})
    definitions = {
        name: _plain_references(_convert(schema().definition(name), "#/definitions/")) for name in schema().names()
    }
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": every,
        "definitions": definitions,
    }


def _plain_references(node: Any) -> Any:
    """References stand beside their description, not in an allOf: clients of Swagger 2.0 follow only those."""
    if isinstance(node, list):
        return [_plain_references(each) for each in node]
    if not isinstance(node, dict):
        return node
    match node.get("allOf"):
        case [{"$ref": str(reference)}]:
            kept = {key: value for key, value in node.items() if key == "description" or key.startswith("x-")}
            return {**kept, "$ref": reference}
    return {key: _plain_references(value) for key, value in node.items()}


def _closure(names: set[str]) -> list[str]:
    """The definitions and all that they refer to."""
    found: set[str] = set()
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in _references(schema().definition(name)) if other not in found]
    return sorted(found)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix(_REFERENCE)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _convert(node: Node, prefix: str) -> Node:
    """A JSON schema as OpenAPI writes it: one type, references with company in an allOf."""
    made: Node = {}
    for key, value in node.items():
        match key, value:
            case "$ref", str():
                made[key] = prefix + value.removeprefix(_REFERENCE)
            case "type", list():
                made[key] = next((name for name in value if name != "null"), "object")
            case "properties", dict():
                made[key] = {name: _convert(child, prefix) for name, child in value.items()}
            case (("items" | "additionalProperties"), dict()):
                made[key] = _convert(value, prefix)
            case (("oneOf" | "anyOf" | "allOf"), list()):
                made[key] = [_convert(child, prefix) for child in value]
            case _:
                made[key] = value
    if "x-kubernetes-group-version-kind" in node or ("kind" in node.get("properties", {})):
        for name in ("kind", "apiVersion"):
            made.get("properties", {}).get(name, {}).pop("enum", None)
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


def paths(resource: Resource) -> Node:
    """The paths of a resource and its subresources, as OpenAPI 3.0 path items."""
    everywhere = resource.root + "/" + resource.plural
    base = f"{resource.root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else everywhere
    made: Node = {}
    if collection := _operations(resource, ("list", "create", "deletecollection")):
        made[base] = {**collection, "parameters": _in_path(base)}
    if resource.namespaced and "list" in resource.verbs:
        made[everywhere] = {**_operations(resource, ("list",)), "parameters": []}
    if single := _operations(resource, ("get", "update", "patch", "delete")):
        made[f"{base}/{{name}}"] = {**single, "parameters": _in_path(f"{base}/{{name}}")}
    if "status" in resource.subresources:
        path = f"{base}/{{name}}/status"
        made[path] = {**_operations(resource, ("get", "update", "patch")), "parameters": _in_path(path)}
    return made


def _in_path(path: str) -> list[Node]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]


def _operations(resource: Resource, verbs: tuple[str, ...]) -> Node:
    return {_ACTIONS[verb][0]: _operation(resource, verb) for verb in verbs if verb in resource.verbs}


def _operation(resource: Resource, verb: str) -> Node:
    name = schema().definition_name(resource)
    listed = f"{name}List" if name else None
    answer = {"list": listed, "delete": _STATUS, "deletecollection": _STATUS}.get(verb, name)
    operation: Node = {
        "description": f"{_ACTIONS[verb][1]} {resource.kind}",
        "operationId": f"{verb}{_camel(resource)}",
        "parameters": _parameters(verb),
        "responses": {"200": {"description": "OK", "content": _content((_JSON, _YAML), answer)}},
        "tags": [f"{resource.group or 'core'}_{resource.version}"],
        "x-kubernetes-action": _ACTIONS[verb][1],
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"content": _content(("*/*",), name), "required": True}
    elif verb == "patch":
        operation["requestBody"] = {"content": _content(_PATCHES, _PATCH), "required": True}
    elif verb in ("delete", "deletecollection"):
        operation["requestBody"] = {"content": _content(("*/*",), _DELETE_OPTIONS)}
    return operation


def _camel(resource: Resource) -> str:
    group = "".join(part.capitalize() for part in (resource.group or "core").split(".")[0].split("-"))
    return f"{group}{resource.version.capitalize()}{'Namespaced' if resource.namespaced else ''}{resource.kind}"


def _parameters(verb: str) -> list[Node]:
    if verb in ("create", "update", "patch"):
        made = [_query(name, "string", text) for name, text in _WRITE]
        return [*made, _query("force", "boolean", "Force is going to take over fields.")] if verb == "patch" else made
    if verb in ("list", "deletecollection"):
        return [_query(name, kind, "") for name, kind in _LIST]
    if verb == "delete":
        names = (("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string"))
        return [_query(name, kind, "") for name, kind in names]
    return []


def _query(name: str, kind: str, text: str) -> Node:
    made: Node = {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
    return {**made, "description": text} if text else made


def _content(media: tuple[str, ...], name: str | None) -> Node:
    body: Node = {"schema": {"$ref": f"#/components/schemas/{name}"} if name else {"type": "object"}}
    return {kind: body for kind in media}


def swagger_references(node: Any) -> Any:
    """A schema whose references point to where Swagger 2.0 has them, at any depth."""
    if isinstance(node, dict):
        return {key: _renamed(value) if key == "$ref" else swagger_references(value) for key, value in node.items()}
    return [swagger_references(each) for each in node] if isinstance(node, list) else node


def swagger_path(path: Mapping[str, Any]) -> Node:
    """A path of OpenAPI v3 as Swagger 2.0 has it."""
    made: Node = {"parameters": [_swagger_parameter(each) for each in path["parameters"]]}
    for method, operation in path.items():
        if method != "parameters":
            made[method] = _swagger_operation(operation)
    return made


def _swagger_operation(operation: Mapping[str, Any]) -> Node:
    made: Node = {key: value for key, value in operation.items() if key not in ("requestBody", "responses")}
    made["parameters"] = [_swagger_parameter(each) for each in operation["parameters"]]
    made["schemes"], made["produces"] = ["https"], [_JSON, _YAML]
    if (body := operation.get("requestBody")) is not None:
        made["consumes"] = list(body["content"])
        schemas = [content["schema"] for content in body["content"].values()]
        made["parameters"].append({"name": "body", "in": "body", "schema": _swagger_reference(schemas[0])})
    content = operation["responses"]["200"]["content"]
    made["responses"] = {"200": {"description": "OK", "schema": _swagger_reference(content[_JSON]["schema"])}}
    return made


def _swagger_parameter(parameter: Mapping[str, Any]) -> Node:
    return {**{key: value for key, value in parameter.items() if key != "schema"}, **parameter["schema"]}


def _swagger_reference(node: Mapping[str, Any]) -> Node:
    return {key: _renamed(value) for key, value in node.items()}


def _renamed(value: Any) -> Any:
    return value.replace("#/components/schemas/", "#/definitions/") if isinstance(value, str) else value

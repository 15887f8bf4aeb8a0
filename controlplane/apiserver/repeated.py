"""Fields that a body says more than once: the last one counts, and the client is told, or refused where it is strict.

Parsers keep the last value and say nothing. So a body whose parsed form is missing members is read a second time, by a
parser that sees them; ordinary bodies cost a count of their colons. Words: sigs.k8s.io/json and sigs.k8s.io/yaml.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

LIMIT = 100
"""Fields named at most, as in Kubernetes."""

_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "application/apply-patch+yaml")


class _Members(list[tuple[str, Any]]):
    """A JSON object's members in their order, repeated ones too."""


def repeated(body: bytes, media: str, obj: Any = None) -> list[str]:
    """A sentence for each field that stands there again: `duplicate field "data.a"`, `line 4: key "a" already ...`.

    `obj` is what the body says, where it is known to be JSON.
    """
    try:
        obj = orjson.loads(body) if obj is None else obj
    except orjson.JSONDecodeError:
        return _in_yaml(body) if media in _YAML else []
    if orjson.dumps(obj).count(b'":') == body.count(b'":'):
        return []
    try:
        found = list(dict.fromkeys(_in_json(json.loads(body, object_pairs_hook=_Members), "")))
    except (ValueError, RecursionError):
        return []
    return found[:LIMIT]


def _in_json(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Members):
        seen: set[str] = set()
        for name, item in value:
            where = f"{path}.{name}" if path else name
            if name in seen:
                yield f'duplicate field "{where}"'
            seen.add(name)
            yield from _in_json(item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _in_json(item, f"{path}[{index}]")


def _in_yaml(body: bytes) -> list[str]:
    import yaml

    try:
        root = yaml.compose(body, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found = list(_in_node(root, yaml, set()))
    except (yaml.YAMLError, RecursionError):
        return []
    return [f"line {line}: key {json.dumps(name)} already set in map" for line, name in sorted(found)][:LIMIT]


def _in_node(node: Any, yaml: Any, visited: set[int]) -> Iterator[tuple[int, str]]:
    if id(node) in visited:  # an alias
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    yield key.start_mark.line + 1, key.value
                seen.add(key.value)
            yield from _in_node(value, yaml, visited)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _in_node(value, yaml, visited)


def strict(sentences: list[str]) -> str:
    """As a strict decoding error says it: what was found in YAML is one error of several lines."""
    lines = [each for each in sentences if each.startswith("line ")]
    others = [each for each in sentences if not each.startswith("line ")]
    if lines:
        others.insert(0, "yaml: unmarshal errors:" + "".join(f"\n  {each}" for each in lines))
    return ", ".join(others)

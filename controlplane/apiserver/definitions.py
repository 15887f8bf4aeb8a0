"""The JSON schemas of Kubernetes' types, read from their file one by one.

The file has some 800 definitions, most of which no cluster ever asks for. Parsing all of it takes 40 ms of a start and
leaves several MiB behind, so it is only searched for where each begins and ends; what is asked for is read then.
"""

from __future__ import annotations

import importlib.util
import os
import re
import weakref
from pathlib import Path
from typing import Any

import orjson

_BEGIN = re.compile(rb'\n    "([^"]+)": {\n')
"""A definition's name, in the file's own indentation."""
_END = b"\n    }"
_KINDS = b'\n      "x-kubernetes-group-version-kind": '
_END_OF_KINDS = b"\n      ]"

Kind = tuple[str, str, str]
"""Group, version and kind."""


def published(version: str) -> Path:
    """The file that the package kubernetes-validate brings for a Kubernetes version, for example v1.36.0."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    return folder / "kubernetes-json-schema" / f"{version}-local" / "_definitions.json"


class Definitions:
    """The definitions of one file, which stays open. Raises OSError, and ValueError for a file of another form."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        begins = list(_BEGIN.finditer(text))
        if not begins:
            raise ValueError(f"{path}: no definition begins in a line of its own, indented by four spaces")
        self.kinds: dict[Kind, str] = {}
        """The name of each kind's definition."""
        self._places: dict[str, tuple[int, int]] = {}
        for begin in begins:
            name = begin[1].decode()
            start = begin.end() - 2
            end = text.index(_END, start) + len(_END)
            self._places[name] = (start, end - start)
            if (kinds := text.find(_KINDS, start, end)) > 0:
                listed = text[kinds + len(_KINDS) : text.index(_END_OF_KINDS, kinds) + len(_END_OF_KINDS)]
                for kind in orjson.loads(listed):
                    self.kinds.setdefault((kind["group"], kind["version"], kind["kind"]), name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    def read(self, name: str) -> dict[str, Any]:
        """A definition with its descriptions. Raises KeyError."""
        start, length = self._places[name]
        found: dict[str, Any] = orjson.loads(os.pread(self._file, length, start))
        return found

"""Completion indexes of Indexed Jobs: as sets inside, as `0,2-4` in the status. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ..meta import Object, annotations_of, spec

INDEX = "batch.kubernetes.io/job-completion-index"


def is_indexed(job: Object) -> bool:
    return bool(spec(job).get("completionMode") == "Indexed")


def completions(job: Object) -> int | None:
    value = spec(job).get("completions")
    return None if value is None else int(value)


def index_of(pod: Object) -> int | None:
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def valid_index(job: Object, pod: Object) -> int | None:
    """The pod's index if the Job (which may have been made smaller) still has it."""
    index, limit = index_of(pod), completions(job)
    return index if index is not None and limit is not None and index < limit else None


def parse_indexes(text: str, limit: int | None = None) -> set[int]:
    """0,2-4 as a set; indexes from `limit` on are left out."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        end = int(last or first) + 1
        found.update(range(int(first), end if limit is None else min(end, limit)))
    return found


def format_indexes(indexes: Collection[int]) -> str:
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(_run(first, last) for first, last in runs)


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"

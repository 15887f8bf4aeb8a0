"""Kubernetes' protobuf form of built-in objects: envelope and messages to JSON objects and back. Pure.

A small codec of its own, driven by the recorded table of fields, instead of generated classes: nothing is loaded until
the first client speaks protobuf, and then only the messages that its objects are made of.
"""

from __future__ import annotations

from .encode import Unencodable
from .envelope import MEDIA, PREFIX, STREAM, NoKind, decode, encode, known, named, watch_event
from .wire import Malformed

__all__ = [
    "MEDIA", "PREFIX", "STREAM", "Malformed", "NoKind", "Unencodable", "decode", "encode", "known", "named",
    "watch_event",
]  # fmt: skip

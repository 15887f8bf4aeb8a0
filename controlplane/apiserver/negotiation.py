"""Which form of an answer a client accepts: JSON, YAML or protobuf, as it is, as a Table, or metadata only.

Accept lists are read as the API server reads them: in the client's order, the first that can be served wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from panal.errors import NotAcceptable

As = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroupDiscoveryList"]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

_META_VERSIONS = ("v1", "v1beta1")
_OFFER = (
    "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, "
    "application/vnd.kubernetes.protobuf;stream=watch"
)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer. `version` is that of the `as` kind."""

    media: str = JSON
    kind: As = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        if self.kind == "APIGroupDiscoveryList":
            return f"{self.media};g=apidiscovery.k8s.io;v={self.version};as={self.kind}"
        return self.media


@lru_cache(256)
def accept(header: str, protobuf: bool = True, tables: bool = True) -> Form:
    """The first form of an Accept header that can be served, `protobuf` and `tables` only where the kind has them.

    Raises NotAcceptable.
    """
    if not header:
        return Form()
    for clause in header.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        if media in ("*/*", "application/*"):
            media = JSON
        if media not in (JSON, YAML) and not (media == PROTOBUF and protobuf):
            continue
        options = dict(parameter.partition("=")[::2] for parameter in parameters)
        if (form := _form(media, options)) is not None and (tables or form.kind != "Table"):
            return form
    raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {_OFFER}", details={})


def _form(media: str, options: dict[str, str]) -> Form | None:
    kind, group, version = options.get("as", ""), options.get("g", ""), options.get("v", "")
    match kind:
        case "":
            return Form(media)
        case "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList" if (
            group == "meta.k8s.io" and version in _META_VERSIONS and not (media == PROTOBUF and kind == "Table")
        ):
            return Form(media, kind, version)
        case "APIGroupDiscoveryList" if group == "apidiscovery.k8s.io" and version in ("v2", "v2beta1"):
            return Form(media, kind, version)
    return None

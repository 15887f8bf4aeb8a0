"""resourceVersions as clients send them."""

from __future__ import annotations

from panal.errors import BadRequest


def parse_revision(text: str) -> int:
    """The revision, 0 for none. Raises BadRequest in Kubernetes' words."""
    if not text:
        return 0
    if not (text.isdecimal() and text.isascii()) or len(text) > 19:
        raise BadRequest(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)

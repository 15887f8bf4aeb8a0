"""Links of an HTML page that was fetched through a proxy lead through the proxy again.

Only what is absolute on the page's own host is changed, in those attributes that HTML has for addresses; the rest of
the page stays as it is, byte by byte. Pure.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Collection
from html import escape, unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit, urlunsplit

LIMIT = 2 * 1024 * 1024
"""Bytes of a page; larger ones are passed on as they are."""
_ATTRIBUTES = {
    "a": "href", "applet": "codebase", "area": "href", "audio": "src", "base": "href", "blockquote": "cite",
    "body": "background", "button": "formaction", "command": "icon", "del": "cite", "embed": "src", "form": "action",
    "frame": "longdesc src", "head": "profile", "html": "manifest", "iframe": "longdesc src",
    "img": "longdesc src usemap", "input": "src usemap formaction", "ins": "cite", "link": "href",
    "object": "classid codebase data usemap", "q": "cite", "script": "src", "source": "src", "video": "poster src",
}  # fmt: skip
_PAIR = re.compile(r"""([^\s"'<>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")
_GZIP = 16 + zlib.MAX_WBITS


def page(body: bytes, encoding: str, base: str, hosts: Collection[str]) -> bytes:
    """The page with its links below `base`. `encoding` is its Content-Encoding, `hosts` are names of its own host."""
    if encoding in ("", "identity"):
        return _relinked(body, base, hosts)
    try:
        unpacker = zlib.decompressobj(_GZIP if encoding == "gzip" else zlib.MAX_WBITS)
        plain = unpacker.decompress(body, LIMIT)
    except zlib.error:
        return body
    if unpacker.unconsumed_tail:
        return body
    packer = zlib.compressobj(wbits=_GZIP if encoding == "gzip" else zlib.MAX_WBITS)
    return packer.compress(_relinked(plain, base, hosts)) + packer.flush()


def wanted(content_type: str, encoding: str) -> bool:
    """Whether an answer is a page that can be read here."""
    return content_type.partition(";")[0].strip().lower() == "text/html" and encoding in (
        "", "identity", "gzip", "deflate",
    )  # fmt: skip


def link(value: str, base: str, hosts: Collection[str]) -> str:
    """One address: relative ones, those of other hosts and those below `base` already stay."""
    try:
        found = urlsplit(value)
    except ValueError:
        return value
    if (found.netloc and found.netloc not in hosts) or not found.path.startswith("/"):
        return value
    if found.path.startswith(base):
        return value
    path = posixpath.normpath(base + found.path)
    if found.path.endswith("/"):
        path += "/"
    return urlunsplit(("", "", path, found.query, found.fragment))


class _Tags(HTMLParser):
    """Collects where in a text start tags with addresses stand, and what should stand there."""

    def __init__(self, text: str, base: str, hosts: Collection[str]) -> None:
        super().__init__(convert_charrefs=False)
        self._base, self._hosts = base, hosts
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.edits: list[tuple[int, int, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = _ATTRIBUTES.get(tag, "").split()
        text = self.get_starttag_text() or ""
        if not any(name in names for name, _ in attrs):
            return
        line, column = self.getpos()
        start = self._lines[line - 1] + column

        def replace(match: re.Match[str]) -> str:
            name, equals, value = match.groups()
            if name.lower() not in names:
                return match[0]
            quoted = value[:1] in ('"', "'")
            address = unescape(value[1:-1] if quoted else value)
            changed = link(address, self._base, self._hosts)
            return match[0] if changed == address else f'{name}{equals}"{escape(changed)}"'

        self.edits.append((start, start + len(text), _PAIR.sub(replace, text)))


def _relinked(body: bytes, base: str, hosts: Collection[str]) -> bytes:
    text = body.decode("utf-8", "surrogateescape")
    parts, done = [], 0
    for start, end, tag in _Tags(text, base, hosts).edits:
        parts += [text[done:start], tag]
        done = end
    return "".join([*parts, text[done:]]).encode("utf-8", "surrogateescape")

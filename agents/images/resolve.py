"""From an image's name to what is run: pure, the machine is asked through `which`.

Panal's own programs come first, then host images (`catalog`), then images that the user added (`added`); anything else
can't be had, and the message says so.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from panal.bundled import BUNDLED

from ..runtime.contract import ImageMissing, InvalidImageName
from .catalog import HOST_IMAGES, PAUSE
from .hostimage import HostImage
from .reference import InvalidReference, Reference, parse
from .tags import published

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_OF_TESTS = ("e2e-test-images/", "kubernetes-e2e-test-images/", "google_containers/", "google-containers/")
"""Folders in which Kubernetes' own tests keep copies of well-known images."""

Which = Callable[[str], str | None]
"""Where a program is on the machine, or a file whose path is given, in which * may stand; None without."""


@dataclass(frozen=True)
class ImageSpec:
    """What an image contains, as far as running it needs to know. See `hostimage` for placeholders and fields."""

    ref: str
    """The full reference, with registry and tag."""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: int | None = None
    bundled: str | None = None
    """`module:function`, called in a forked process with the arguments; `entrypoint` is its name then."""
    writable: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    setuid: Mapping[str, str] = field(default_factory=dict)
    plain_args: tuple[str, ...] = ()
    toolbox: tuple[str, ...] = ()
    stop_signal: int = signal.SIGTERM
    """What asks the program to end."""
    rootfs: str = ""
    """A folder of the machine that is shown, copy-on-write, instead of the machine's own files."""


Added = Callable[[str], ImageSpec | None]
"""The image that the user added under this name."""


def resolve(image: str, *, which: Which, interpreter: str, added: Added = lambda name: None) -> ImageSpec:
    """What `image` runs. Raises InvalidImageName and ImageMissing, whose messages are for an event."""
    try:
        reference = parse(image)
    except InvalidReference as error:
        raise InvalidImageName(
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {error}'
        ) from None
    name = common_name(reference)
    if entry := BUNDLED.get(name):
        return ImageSpec(str(reference), (name.rpartition("/")[2],), bundled=entry)
    if (found := added(str(reference))) is not None:
        return found
    if name == "pause":
        return ImageSpec(str(reference), ("/pause",), bundled=PAUSE)
    if (host := host_image(name, reference.tag)) is not None and published(reference):
        return _from_host(reference, host, which, interpreter)
    raise ImageMissing(_unknown(reference))


def common_name(reference: Reference) -> str:
    """`nginx` for docker.io/library/nginx, and for a mirror of the same path on another registry."""
    return reference.familiar.removeprefix("docker/").removeprefix("library/")


def host_image(name: str, tag: str) -> HostImage | None:
    """The entry of the catalogue for this name, and for the variant that the tag names."""
    plain = next((name.removeprefix(folder) for folder in _OF_TESTS if name.startswith(folder)), name)
    for known in dict.fromkeys((name, plain)):
        for host in HOST_IMAGES:
            if known in host.names and re.search(host.tags, tag):
                return host
    return None


def missing(host: HostImage, which: Which) -> str | None:
    """The first of the programs and files that the machine lacks."""
    return next((program for program in host.programs if which(program) is None), None)


def how_to_get(host: HostImage) -> str:
    """What brings an image's programs: a sentence without its full stop."""
    if not host.package:
        return host.advice
    several = "s" if " " in host.package else ""
    return f"install the Debian package{several} {host.package} (apt-get install {host.package})"


def _from_host(reference: Reference, host: HostImage, which: Which, interpreter: str) -> ImageSpec:
    if (lacking := missing(host, which)) is not None:
        kind = "file" if "/" in lacking else "program"
        raise ImageMissing(
            f'failed to pull and unpack image "{reference}": this machine has no {kind} "{lacking}", which Panal '
            f"runs for it; {how_to_get(host)}"
        )
    return ImageSpec(
        ref=str(reference),
        entrypoint=(host.entry_name,) if host.entry else (),
        cmd=tuple(word.replace("@PYTHON@", interpreter) for word in host.command),
        env=host.env,
        working_dir=host.working_dir,
        user=host.user,
        bundled=host.entry or None,
        writable=host.writable,
        files={path: text.replace("@PYTHON@", interpreter) for path, text in _files(host).items()},
        setuid={path: found for path, program in host.setuid.items() if (found := which(program))},
        plain_args=host.plain_args,
        toolbox=host.toolbox if host.toolbox and which(host.toolbox[0]) else (),
        stop_signal=int(host.stop_signal),
    )


def _files(host: HostImage) -> Mapping[str, str]:
    """With the entrypoint as a program of its own, for those who name it in a command of theirs."""
    path = host.entry_name if "/" in host.entry_name else f"/usr/local/bin/{host.entry_name}"
    if not host.entry or path in host.files:
        return host.files
    return {**host.files, path: f'#!/bin/sh\nexec @PYTHON@ -m panal.agents.images.entrypoints {host.entry} "$@"\n'}


def _unknown(reference: Reference) -> str:
    known = ", ".join(sorted({host.names[0] for host in HOST_IMAGES if "/" not in host.names[0]}))
    return (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {reference}: not '
        f"found: Panal does not pull from registries; images this machine can provide: {known}; others are added by "
        "`panal image add`"
    )

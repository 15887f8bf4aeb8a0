"""From an image's name to what is run: pure, the machine is asked through `which`.

Panal's own programs come first, then host images (`catalog`); anything else can't be had, and the message says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from panal.bundled import BUNDLED

from ..runtime.contract import ImageMissing, InvalidImageName
from .catalog import HOST_IMAGES, PAUSE, HostImage
from .reference import InvalidReference, Reference, parse

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Which = Callable[[str], str | None]
"""A program's path on the machine, or None; `shutil.which`."""


@dataclass(frozen=True)
class ImageSpec:
    """What an image contains, as far as running it needs to know. See `catalog` for placeholders and fields."""

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
    plain_args: tuple[str, ...] = ()
    toolbox: tuple[str, ...] = ()


def resolve(image: str, *, which: Which, interpreter: str) -> ImageSpec:
    """What `image` runs. Raises InvalidImageName and ImageMissing, whose messages are for an event."""
    try:
        reference = parse(image)
    except InvalidReference as error:
        raise InvalidImageName(
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {error}'
        ) from None
    name = _common_name(reference)
    if entry := BUNDLED.get(name):
        return ImageSpec(str(reference), (name.rpartition("/")[2],), bundled=entry)
    if name == "pause":
        return ImageSpec(str(reference), ("/pause",), bundled=PAUSE)
    for host in HOST_IMAGES:
        if name in host.names:
            return _from_host(reference, host, which, interpreter)
    raise ImageMissing(_unknown(reference))


def _common_name(reference: Reference) -> str:
    """`nginx` for docker.io/library/nginx, and for a mirror of the same path on another registry."""
    return reference.familiar.removeprefix("docker/").removeprefix("library/")


def _from_host(reference: Reference, host: HostImage, which: Which, interpreter: str) -> ImageSpec:
    missing = [program for program in host.programs if which(program) is None]
    if missing:
        raise ImageMissing(
            f'failed to pull and unpack image "{reference}": this machine has no program "{missing[0]}", which Panal '
            f"runs for it; install the Debian package {host.package} (apt-get install {host.package})"
        )
    return ImageSpec(
        ref=str(reference),
        cmd=tuple(word.replace("@PYTHON@", interpreter) for word in host.command),
        env=host.env,
        writable=host.writable,
        files={path: text.replace("@PYTHON@", interpreter) for path, text in host.files.items()},
        plain_args=host.plain_args,
        toolbox=host.toolbox if host.toolbox and which(host.toolbox[0]) else (),
    )


def _unknown(reference: Reference) -> str:
    known = ", ".join(sorted(name for host in HOST_IMAGES for name in host.names))
    return (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {reference}: not '
        f"found: Panal does not pull from registries; images this machine can provide: {known}"
    )

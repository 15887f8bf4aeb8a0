"""Host images: what this machine can provide, by name. Data only; what an entry says is told in `hostimage`."""

from __future__ import annotations

from .databases import DATABASES
from .hostimage import HostImage
from .shells import SHELLS
from .testimages import TEST_IMAGES
from .tutorials import TUTORIALS
from .webservers import WEB_SERVERS
from .websites import WEBSITES

HOST_IMAGES: tuple[HostImage, ...] = (*SHELLS, *TEST_IMAGES, *TUTORIALS, *WEB_SERVERS, *WEBSITES, *DATABASES)

PAUSE = "panal.agents.runtime.pause:main"
"""What the image `pause` runs: it reaps orphans and waits."""

"""Host images of which one wants the programs and little else: shells, interpreters, curl."""

from __future__ import annotations

from .hostimage import HostImage

_TOOLBOX = ("busybox", "--install", "-s", "@DIR@")
_PYTHON_WRAPPER = '#!/bin/sh\nexec @PYTHON@ "$@"\n'
_DEFAULT = "panal.agents.images.entrypoints.defaults"

SHELLS = (
    HostImage(names=("busybox",), command=("sh",), toolbox=_TOOLBOX),
    HostImage(names=("alpine",), command=("/bin/sh",), toolbox=_TOOLBOX),
    HostImage(names=("debian",), command=("bash",), programs=("bash",), package="bash"),
    HostImage(names=("ubuntu",), command=("/bin/bash",), programs=("bash",), package="bash"),
    HostImage(
        names=("python",),
        command=("@PYTHON@",),
        env={"LANG": "C.UTF-8"},
        files={"/usr/local/bin/python": _PYTHON_WRAPPER, "/usr/local/bin/python3": _PYTHON_WRAPPER},
    ),
    HostImage(
        names=("node",),
        command=("node",),
        entry=f"{_DEFAULT}:node",
        programs=("node",),
        package="nodejs",
    ),
    HostImage(
        names=("curl", "curlimages/curl"),
        command=("curl",),
        entry=f"{_DEFAULT}:curl",
        entry_name="entrypoint.sh",
        programs=("curl",),
        package="curl",
    ),
)

"""Host images of which one wants the programs and little else: shells, interpreters, curl."""

from __future__ import annotations

from .hostimage import HostImage, groups, users

_TOOLBOX = ("busybox", "--install", "-s", "@DIR@")
_PYTHON_WRAPPER = '#!/bin/sh\nexec @PYTHON@ "$@"\n'
_DEFAULT = "panal.agents.images.entrypoints.defaults"
_USERS = {"/etc/passwd": users(), "/etc/group": groups()}
_NSLOOKUP = {"/usr/local/sbin/nslookup": '#!/bin/sh\nexec @PYTHON@ -m panal.agents.samples.nslookup "$@"\n'}
_SEARCHING = r"^1\.(1?\d|2[0-8])(?!\d)"
"""Versions of busybox whose nslookup looks in the search domains whatever the name."""

SHELLS = (
    HostImage(names=("busybox",), command=("sh",), tags=_SEARCHING, toolbox=_TOOLBOX, files={**_USERS, **_NSLOOKUP}),
    HostImage(names=("busybox",), command=("sh",), toolbox=_TOOLBOX, files=_USERS),
    HostImage(names=("alpine",), command=("/bin/sh",), toolbox=_TOOLBOX, files=_USERS),
    HostImage(names=("debian", "bash"), command=("bash",), programs=("bash",), package="bash", files=_USERS),
    HostImage(names=("ubuntu",), command=("/bin/bash",), programs=("bash",), package="bash", files=_USERS),
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

"""Host images that Kubernetes' own test suites use: agnhost and the small ones around it."""

from __future__ import annotations

from .hostimage import HostImage

_REGISTRIES = ("e2e-test-images", "kubernetes-e2e-test-images")
_ENTRY = "panal.agents.agnhost.main:main"
_SCRIPT = '#!/bin/sh\nAGNHOST_NAME=@NAME@ exec @PYTHON@ -m panal.agents.agnhost "$@"\n'
_FILES = {
    **{path: _SCRIPT.replace("@NAME@", path) for path in ("/agnhost", "/agnhost-2")},
    "/usr/local/bin/nc": '#!/bin/sh\nexec @PYTHON@ -m panal.agents.agnhost nc "$@"\n',
}
_TOOLBOX = ("busybox", "--install", "-s", "@DIR@")
_DNS = ("dig", "nslookup")
_EFFECTIVE = '#!/bin/sh\necho "Effective uid: $(nnp-id -u)"\n'
_OUTSIDER = 1234


def _of_tests(name: str) -> tuple[str, ...]:
    return tuple(f"{registry}/{name}" for registry in _REGISTRIES)


TEST_IMAGES = (
    HostImage(
        names=("agnhost", *_of_tests("agnhost"), "panal/agnhost"),
        command=("pause",),
        entry=_ENTRY,
        entry_name="/agnhost",
        files=_FILES,
        writable=("/uploads",),
    ),
    *(
        HostImage(
            names=_of_tests(name),
            command=("test-webserver",),
            entry=_ENTRY,
            entry_name="/agnhost",
            files={**_FILES, "/data.json": f'{{\n  "image": "{name}.jpg"\n}}\n'},
        )
        for name in ("nautilus", "kitten")
    ),
    HostImage(names=_of_tests("jessie-dnsutils"), command=("bash",), programs=_DNS, package="bind9-dnsutils"),
    HostImage(names=_of_tests("ipc-utils"), command=("sh",), programs=("ipcs",), package="util-linux"),
    HostImage(
        names=_of_tests("nonewprivs"),
        command=("nnp",),
        programs=("id",),
        package="coreutils",
        files={"/usr/local/bin/nnp": _EFFECTIVE},
        setuid={"/usr/local/bin/nnp-id": "id"},
    ),
    HostImage(names=_of_tests("nonroot"), command=("sh",), toolbox=_TOOLBOX, user=_OUTSIDER),
    HostImage(names=("perl",), command=("perl",), programs=("perl",), package="perl"),
)

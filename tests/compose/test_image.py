"""The image: the same from the same files, and small."""

from __future__ import annotations

from engine import Engine

LISTING = (
    "cd /opt/panal && find . -type f -printf '%p %s %T@ %m\\n' | sort | sha256sum"
    " && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum"
)
OWN_MIB = 150
"""What the image has beside its base."""


def test_two_builds_give_the_same_files_with_the_same_times(docker: Engine) -> None:
    docker.docker(
        "build", "--no-cache", "--network=none", "--build-arg=BASE=panal-test-base", "--tag=again", ".", timeout=600
    )  # fmt: skip
    first, second = (
        docker.docker("run", "--rm", "--entrypoint=sh", image, "-c", LISTING) for image in ("panal", "again")
    )
    assert first == second


def test_the_image_is_small(docker: Engine) -> None:
    whole, base = (
        int(docker.docker("image", "inspect", "-f", "{{.Size}}", name)) for name in ("panal", "panal-test-base")
    )
    assert (whole - base) / 2**20 < OWN_MIB

"""Image names are read as Docker reads them."""

from __future__ import annotations

import pytest

from panal.agents.images.reference import InvalidReference, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "full", "familiar"),
    [
        ("nginx", "docker.io/library/nginx:latest", "nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx"),
        ("docker.io/library/nginx:1.25", "docker.io/library/nginx:1.25", "nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx"),
        ("panal/kube-proxy:v1.36.2", "docker.io/panal/kube-proxy:v1.36.2", "panal/kube-proxy"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9", "pause"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest", "a/b"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}", "nginx"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}", "nginx"),
    ],
)
def test_names_are_completed(image: str, full: str, familiar: str) -> None:
    assert (str(parse(image)), parse(image).familiar) == (full, familiar)


@pytest.mark.parametrize(
    "image",
    ["", " ", "nginx:", "a//b", "/nginx", "nginx/", "nginx@sha256:12", "a b", "nginx:a b", "-x", "a" * 300, "a;rm"],
)
def test_nonsense_is_refused(image: str) -> None:
    with pytest.raises(InvalidReference, match="invalid reference format"):
        parse(image)


def test_upper_case_is_named() -> None:
    with pytest.raises(InvalidReference, match="must be lowercase"):
        parse("docker.io/Nginx")

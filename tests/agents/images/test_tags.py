"""Tags that official images have are believed, slips of the pen are not."""

from __future__ import annotations

import pytest

from panal.agents.images.reference import parse
from panal.agents.images.resolve import resolve
from panal.agents.images.tags import published
from panal.agents.runtime.contract import ImageMissing


@pytest.mark.parametrize(
    "image",
    [
        "nginx", "nginx:latest", "nginx:1.14.2", "nginx:1.31-alpine-slim", "nginx:stable-perl", "nginx:mainline-otel",
        "busybox:1.28", "busybox:musl", "debian:bookworm-slim", "debian:stable-20260101-slim", "ubuntu:noble",
        "ubuntu:24.04", "python:3.12-slim-bookworm", "python:3.13.0rc1", "node:lts-alpine", "node:iron", "node:22",
        "wordpress:6.2.1-apache", "wordpress:php8.2-fpm-alpine", "wordpress:cli", "php:8.2-fpm", "php:zts",
        "postgres:16.1-bookworm", "perl:5.34.0", "mysql:innovation", "mysql:8.0.36-debian", "redis:8.0.2",
        "alpine:20240923", "alpine:edge", "traefik:v3.0", "httpd:2.4.38-alpine", "memcached:1.6.21",
        "registry.example.com/nginx:ours", "someone/nginx:theirs", "nginx@sha256:" + "a" * 64,
    ],
)  # fmt: skip
def test_what_may_be_a_version_or_a_variant_is_believed(image: str) -> None:
    assert published(parse(image))


@pytest.mark.parametrize("image", ["nginx:1.161", "nginx:1.91", "nginx:typo", "busybox:no-such-tag", "redis:7.200"])
def test_what_nobody_has_published_is_not_found(image: str) -> None:
    assert not published(parse(image))
    with pytest.raises(ImageMissing, match=f"{image}: not found"):
        resolve(image, which=lambda program: program, interpreter="python3")

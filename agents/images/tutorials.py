"""Host images of the applications that Kubernetes' tutorials and courses deploy."""

from __future__ import annotations

from .hostimage import HostImage

_SAMPLES = "panal.agents.samples"
_GOOGLE = "google-samples"
_STRESS = ("polinux/stress", "progrium/stress", "polinux/stress-ng")
_KUBECTL = ("kubectl", "bitnami/kubectl", "bitnamilegacy/kubectl", "rancher/kubectl", "alpine/kubectl")


def _sample(*names: str, entry: str, program: str, tags: str = "") -> HostImage:
    return HostImage(names=names, command=(), entry=f"{_SAMPLES}.{entry}", entry_name=program, tags=tags)


TUTORIALS = (
    _sample(f"{_GOOGLE}/hello-app", entry="hello:hello_app_1", program="/hello-app", tags=r"^(1\.0|latest)$"),
    _sample(f"{_GOOGLE}/hello-app", entry="hello:hello_app_2", program="/hello-app", tags=r"^2\.0$"),
    _sample(f"{_GOOGLE}/node-hello", entry="hello:node_hello", program="/node-hello", tags=r"^1\.0$|^latest$"),
    _sample(
        *(f"{place}/kubernetes-bootcamp" for place in (_GOOGLE, "jocatalin")),
        entry="hello:bootcamp_1",
        program="/server.js",
        tags="^(v1|latest)$",
    ),
    _sample(
        *(f"{place}/kubernetes-bootcamp" for place in (_GOOGLE, "jocatalin")),
        entry="hello:bootcamp_2",
        program="/server.js",
        tags="^v2$",
    ),
    _sample("hashicorp/http-echo", entry="echoes:http_echo", program="/http-echo"),
    _sample("traefik/whoami", "containous/whoami", entry="echoes:whoami", program="/whoami"),
    _sample("echoserver", "google_containers/echoserver", entry="echoes:echoserver", program="/echoserver"),
    _sample("kicbase/echo-server", "jmalloc/echo-server", entry="echoes:echo_server", program="/echo-server"),
    _sample("nginxdemos/hello", entry="echoes:nginx_hello_plain", program="/hello", tags="plain-text"),
    _sample("nginxdemos/hello", entry="echoes:nginx_hello", program="/hello"),
    _sample("hpa-example", entry="hogs:hpa_example", program="/hpa-example"),
    _sample("goproxy", entry="goproxy:main", program="/goproxy"),
    _sample("vish/stress", entry="older:stress", program="/stress"),
    _sample("liveness", entry="older:liveness", program="/liveness"),
    _sample("serve_hostname", entry="older:serve_hostname", program="/serve_hostname"),
    HostImage(names=_STRESS, command=(), entry=f"{_SAMPLES}.hogs:stress", entry_name="stress"),
    HostImage(
        names=_KUBECTL,
        command=(),
        entry="panal.agents.images.entrypoints.defaults:kubectl",
        entry_name="kubectl-image",
        programs=("kubectl",),
        package="kubernetes-client",
    ),
)

"""What an Ingress' annotations ask for: those of ingress-nginx that people use, under its prefix or Panal's. Pure.

An annotation that makes no sense is ignored with a complaint; where it would have kept somebody out, nobody comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import values
from .values import Networks

PREFIXES = ("nginx.ingress.kubernetes.io/", "panal.dev/")
SNIPPETS = frozenset({
    "configuration-snippet", "server-snippet", "stream-snippet", "auth-snippet", "modsecurity-snippet",
})  # fmt: skip
"""Raw nginx configuration: who may write an Ingress could do anything with the controller."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the requests of one Ingress are treated. Times are seconds, sizes bytes."""

    service_upstream: bool = False
    """Connect to the Service's ClusterIP instead of its endpoints, so that the node's rules choose the pod."""
    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    ssl_redirect_code: int = 308
    only_scheme: str = ""
    """`http` or `https`: by the other one it can't be had (503). Of OpenShift's Routes."""
    rewrite_target: str = ""
    use_regex: bool = False
    app_root: str = ""
    permanent_redirect: str = ""
    permanent_redirect_code: int = 301
    temporal_redirect: str = ""
    temporal_redirect_code: int = 302
    upstream_vhost: str = ""
    x_forwarded_prefix: str = ""
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    send_timeout: float = 60.0
    """Between two moments in which the backend takes something of a request's body."""
    body_size: int = 0
    """The largest request body (with the lines of its chunks); 0 is no limit."""
    next_upstream: frozenset[str] = frozenset({"error", "timeout"})
    next_upstream_tries: int = 3
    """Endpoints tried for one request; 0 is all of them."""
    denied: bool = False
    """An annotation that keeps people out makes no sense: nobody is served (503)."""
    allowed_from: Networks | None = None
    denied_from: Networks | None = None
    auth_type: str = ""
    auth_secret: str = ""
    auth_secret_type: str = "auth-file"
    auth_realm: str = "Authentication Required"
    enable_cors: bool = False
    cors_allow_origin: tuple[str, ...] = ("*",)
    cors_allow_methods: str = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
    cors_allow_headers: str = (
        "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
    )
    cors_expose_headers: str = ""
    cors_allow_credentials: bool = True
    cors_max_age: int = 1728000
    affinity: str = ""
    affinity_mode: str = "balanced"
    affinity_canary_behavior: str = "sticky"
    cookie_name: str = "INGRESSCOOKIE"
    cookie_path: str = ""
    cookie_domain: str = ""
    cookie_max_age: int = 0
    cookie_expires: int = 0
    cookie_samesite: str = ""
    cookie_secure: bool = False
    cookie_change_on_failure: bool = False
    canary: bool = False
    canary_weight: int = 0
    canary_weight_total: int = 100
    canary_by_header: str = ""
    canary_by_header_value: str = ""
    canary_by_header_pattern: str = ""
    canary_by_cookie: str = ""


DEFAULT = Options()


def options(annotations: Mapping[str, str]) -> tuple[Options, list[str]]:
    """The options, and a complaint for each annotation whose value makes no sense and is ignored."""
    found: dict[str, object] = {}
    complaints: list[str] = []
    for key, value in annotations.items():
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
        if prefix is None or (short := key[len(prefix) :]) in SNIPPETS:
            continue
        if (known := _KNOWN.get(short)) is None:
            complaints.append(f"annotation {key} is not supported")
            found["denied"] = found.get("denied", False) or short in _KEEPS_OUT
            continue
        field, read = known
        try:
            found[field] = read(value)
        except ValueError as error:
            complaints.append(f"annotation {key}: {error}")
            found["denied"] = found.get("denied", False) or short in _KEEPS_OUT
    if found.get("rewrite_target") and "use_regex" not in found:
        found["use_regex"] = "$" in str(found["rewrite_target"])
    return (Options(**found) if found else DEFAULT), complaints  # type: ignore[arg-type]


def snippet(annotations: Mapping[str, str]) -> str | None:
    """The first annotation that holds raw configuration: an Ingress with one is refused as a whole."""
    raw = {prefix + name for prefix in PREFIXES for name in SNIPPETS}
    return next((key for key in annotations if key in raw), None)


_KEEPS_OUT = frozenset({
    "allowlist-source-range", "whitelist-source-range", "denylist-source-range",
    "auth-type", "auth-secret", "auth-secret-type", "auth-realm", "auth-url", "auth-tls-secret",
})  # fmt: skip

_KNOWN: dict[str, tuple[str, Callable[[str], object]]] = {
    "service-upstream": ("service_upstream", values.flag),
    "ssl-redirect": ("ssl_redirect", values.flag),
    "force-ssl-redirect": ("force_ssl_redirect", values.flag),
    "rewrite-target": ("rewrite_target", values.text),
    "use-regex": ("use_regex", values.flag),
    "app-root": ("app_root", values.text),
    "permanent-redirect": ("permanent_redirect", values.text),
    "permanent-redirect-code": ("permanent_redirect_code", lambda value: int(values.one_of("301", "308")(value))),
    "temporal-redirect": ("temporal_redirect", values.text),
    "temporal-redirect-code": ("temporal_redirect_code", lambda value: int(values.one_of("302", "303", "307")(value))),
    "upstream-vhost": ("upstream_vhost", values.text),
    "x-forwarded-prefix": ("x_forwarded_prefix", values.text),
    "proxy-connect-timeout": ("connect_timeout", values.seconds),
    "proxy-read-timeout": ("read_timeout", values.seconds),
    "proxy-send-timeout": ("send_timeout", values.seconds),
    "proxy-body-size": ("body_size", values.size),
    "proxy-next-upstream": ("next_upstream", values.conditions),
    "proxy-next-upstream-tries": ("next_upstream_tries", values.whole),
    "allowlist-source-range": ("allowed_from", values.networks),
    "whitelist-source-range": ("allowed_from", values.networks),
    "denylist-source-range": ("denied_from", values.networks),
    "auth-type": ("auth_type", values.one_of("basic")),
    "auth-secret": ("auth_secret", values.text),
    "auth-secret-type": ("auth_secret_type", values.one_of("auth-file", "auth-map")),
    "auth-realm": ("auth_realm", values.realm),
    "enable-cors": ("enable_cors", values.flag),
    "cors-allow-origin": ("cors_allow_origin", values.origins),
    "cors-allow-methods": ("cors_allow_methods", values.names),
    "cors-allow-headers": ("cors_allow_headers", values.names),
    "cors-expose-headers": ("cors_expose_headers", values.names),
    "cors-allow-credentials": ("cors_allow_credentials", values.flag),
    "cors-max-age": ("cors_max_age", values.whole),
    "affinity": ("affinity", values.one_of("cookie")),
    "affinity-mode": ("affinity_mode", values.one_of("balanced", "persistent")),
    "affinity-canary-behavior": ("affinity_canary_behavior", values.one_of("sticky", "legacy")),
    "session-cookie-name": ("cookie_name", values.token),
    "session-cookie-path": ("cookie_path", values.cookie_text),
    "session-cookie-domain": ("cookie_domain", values.cookie_text),
    "session-cookie-max-age": ("cookie_max_age", values.age),
    "session-cookie-expires": ("cookie_expires", values.age),
    "session-cookie-samesite": ("cookie_samesite", values.one_of("None", "Lax", "Strict")),
    "session-cookie-secure": ("cookie_secure", values.flag),
    "session-cookie-change-on-failure": ("cookie_change_on_failure", values.flag),
    "canary": ("canary", values.flag),
    "canary-weight": ("canary_weight", values.whole),
    "canary-weight-total": ("canary_weight_total", values.whole),
    "canary-by-header": ("canary_by_header", values.token),
    "canary-by-header-value": ("canary_by_header_value", values.text),
    "canary-by-header-pattern": ("canary_by_header_pattern", str),
    "canary-by-cookie": ("canary_by_cookie", values.token),
}

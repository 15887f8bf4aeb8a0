"""What every handler works with: one request, understood and authenticated, and the parts of the server."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from panal.errors import BadRequest, Invalid
from panal.resources import Resource

from .authn import Authenticator, User
from .authz import Authorizer
from .cache import Cache
from .custom.served import Served
from .measured import Measured
from .negotiation import Form
from .options import Options
from .reading import Reader
from .registry import Registry
from .request import Query, Target
from .strategy import RequestContext
from .tokens import Keys

if TYPE_CHECKING:
    from .logs import Kubelets

_MANAGER_LIMIT = 128


@dataclass(frozen=True)
class Parts:
    """The running server's parts."""

    options: Options
    cache: Cache
    registry: Registry
    reader: Reader
    authenticator: Authenticator
    authorizer: Authorizer
    keys: Keys
    kubelets: Kubelets
    custom: Served
    now: Callable[[], float]
    """Seconds since the epoch."""
    rng: random.Random
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True)
class Call:
    """One request for a resource."""

    http: web.BaseRequest
    target: Target
    query: Query
    user: User
    form: Form
    resource: Resource
    timestamp: str
    """Now, in RFC 3339."""

    @property
    def namespace(self) -> str:
        return self.target.namespace if self.resource.namespaced else ""

    def context(
        self, name: str | None = None, *, dry_run: bool | None = None, subresource: str | None = None
    ) -> RequestContext:
        """For the strategies. Raises Invalid, BadRequest for parameters that make no sense."""
        if self.query.get("dryRun") not in ("", "All"):
            raise _bad_dry_run(self.query.get("dryRun"))
        return RequestContext(
            user=self.user.name,
            namespace=self.namespace,
            name=self.target.name if name is None else name,
            now=self.timestamp,
            dry_run=self.query.get("dryRun") == "All" if dry_run is None else dry_run,
            field_manager=self.manager,
            subresource=self.target.subresource if subresource is None else subresource,
            groups=self.user.groups,
            extra=self.user.extra,
        )

    @property
    def manager(self) -> str:
        """The field manager: as given, else the client's name from its User-Agent."""
        given = self.query.get("fieldManager")
        if len(given) > _MANAGER_LIMIT:
            raise BadRequest("fieldManager may not be more than 128 characters")
        return given or self.http.headers.get("User-Agent", "").partition("/")[0][:_MANAGER_LIMIT] or "unknown"

    @property
    def field_validation(self) -> str:
        value = self.query.get("fieldValidation")
        if value not in ("", "Ignore", "Warn", "Strict"):
            kind = "PatchOptions" if self.target.verb == "patch" else f"{self.target.verb.capitalize()}Options"
            message = f'Unsupported value: "{value}": supported values: "", "Ignore", "Strict", "Warn"'
            raise _invalid_option(kind, "fieldValidation", message)
        return value or "Warn"


def _bad_dry_run(value: str) -> Invalid:
    return _invalid_option("CreateOptions", "dryRun", f'Unsupported value: "{value}": supported values: "All"')


def _invalid_option(kind: str, field: str, message: str) -> Invalid:
    return Invalid(
        f'{kind}.meta.k8s.io "" is invalid: {field}: {message}',
        details={
            "group": "meta.k8s.io",
            "kind": kind,
            "causes": [{"reason": "FieldValueNotSupported", "message": message, "field": field}],
        },
    )

"""What every handler works with: one request, understood and authenticated, and the parts of the server."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from aiohttp import web

from panal.resources import Resource

from . import requestoptions
from .authn import Authenticator, User
from .authz import Authorizer
from .cache import Cache
from .custom.served import Served
from .decode import FieldValidation
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
        if dry_run is None and (errors := requestoptions.dry_run(self.query.get("dryRun"))):
            raise requestoptions.refused("CreateOptions", errors)
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
        if errors := requestoptions.manager(given):
            raise requestoptions.refused("CreateOptions", errors)
        return given or self.http.headers.get("User-Agent", "").partition("/")[0][:_MANAGER_LIMIT] or "unknown"

    @property
    def field_validation(self) -> FieldValidation:
        """`Warn` where nothing is said."""
        return cast(FieldValidation, self.query.get("fieldValidation") or "Warn")

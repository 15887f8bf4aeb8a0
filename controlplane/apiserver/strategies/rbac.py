"""rbac.authorization.k8s.io: roles and who has them."""

from __future__ import annotations

from ..defaults import others as defaults
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import meta, rbac


class RoleStrategy(Strategy):
    allow_create_on_update = True

    def validate_name(self, name: str) -> list[str]:
        return meta.path_segment_name(name)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return rbac.role(obj, namespaced=self.resource.namespaced)


class RoleBindingStrategy(RoleStrategy):
    def default(self, obj: Object) -> None:
        defaults.role_binding(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return rbac.role_binding(obj, namespaced=self.resource.namespaced)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self._validate(ctx, obj) + rbac.role_reference_update(obj, old)

"""resource.k8s.io: devices, what offers them, and who claims them."""

from __future__ import annotations

from ..defaults import others as defaults
from ..strategy import Object
from ..validation import claims
from .checked import Checked, Checks, Versioned


class ResourceClaimStrategy(Checked):
    table = Checks(new=claims.claim, update=claims.claim_update)

    def default(self, obj: Object) -> None:
        defaults.resource_claim(obj["spec"])


class ResourceClaimTemplateStrategy(Checked):
    table = Checks(new=claims.template, update=claims.template_update)

    def default(self, obj: Object) -> None:
        defaults.resource_claim(obj["spec"].get("spec") or {})


class DeviceClassStrategy(Checked):
    has_generation = True
    table = Checks(check=claims.device_class)


class ResourceSliceStrategy(Versioned):
    table = Checks(check=claims.resource_slice, update=claims.resource_slice_update)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {
            "metadata.name": obj["metadata"].get("name", ""),
            "spec.nodeName": spec.get("nodeName") or "",
            "spec.driver": spec.get("driver", ""),
        }

    def unknown_field(self, name: str) -> str:
        return f"field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {name}"

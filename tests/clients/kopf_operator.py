"""An operator as users of kopf write them, run by `kopf run`: it tends shelves of books."""

from __future__ import annotations

from typing import Any

import kopf


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "library.example.com/kopf"
    settings.watching.server_timeout = 30


@kopf.on.create("library.example.com", "v1", "shelves")
def made(body: kopf.Body, spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> dict[str, int]:
    patch.status["phase"] = "Standing"
    kopf.info(body, reason="Built", message="The shelf stands.")
    return {"books": len(spec.get("books", []))}


@kopf.on.update("library.example.com", "v1", "shelves", field="spec.books")
def changed(old: Any, new: Any, patch: kopf.Patch, **_: Any) -> None:
    patch.status["change"] = f"{len(old or [])} to {len(new or [])}"


@kopf.timer("library.example.com", "v1", "shelves", interval=0.3)
def dusted(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    if (count := int(status.get("dusted", 0))) < 3:
        patch.status["dusted"] = count + 1


@kopf.on.delete("library.example.com", "v1", "shelves")
def burnt(name: str, namespace: str, logger: Any, **_: Any) -> None:
    logger.info("farewell to %s/%s", namespace, name)

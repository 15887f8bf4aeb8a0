"""Random histories of owners and dependents: no garbage stays, nothing waits for ever, and nothing else is taken."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.controllers.context import Context
from panal.controlplane.controllers.garbage.reconcile import Garbage
from panal.controlplane.controllers.meta import metadata, uid
from panal.resources import CONFIGMAPS, SECRETS

from ..world import MANY, NS, World, anyhow, run

BOTH = (CONFIGMAPS, SECRETS)
owned = st.tuples(
    st.just("make"), st.integers(0, 1), st.lists(st.integers(0, 9), min_size=1, max_size=2), st.just(True)
)
deleted = st.tuples(st.just("delete"), st.integers(0, 9), st.sampled_from(["Background", "Foreground", "Orphan"]))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.integers(0, 1), st.lists(st.integers(0, 9), max_size=2), st.booleans()),
        owned,
        owned,
        owned,
        deleted,
        deleted,
        *anyhow,
    ),
    min_size=30,
    max_size=90,
)


def collector(context: Context) -> Garbage:
    """One that follows two resources, and knows all there is to follow."""
    found = Garbage(context)
    for resource in BOTH:
        context.informers.of(resource).subscribe(partial(found._on, resource))
    found._complete.set()
    return found


@MANY
@given(steps)
def test_whatever_is_made_and_deleted_only_what_has_an_owner_left_or_never_had_one_stays(
    history: list[tuple[Any, ...]],
) -> None:
    async def story() -> None:
        world = World(collector)
        made: list[tuple[Any, Any]] = []
        asked: set[str] = set()
        for number, (what, *rest) in enumerate(history):
            match what:
                case "make":
                    resource, owners = BOTH[rest[0]], [made[at % len(made)] for at in rest[1] if made]
                    references = {
                        uid(owner): {
                            "apiVersion": "v1",
                            "kind": kind.kind,
                            "name": metadata(owner)["name"],
                            "uid": uid(owner),
                            "blockOwnerDeletion": rest[2],
                        }
                        for kind, owner in owners
                    }
                    body = {"metadata": {"name": f"o{number}", "ownerReferences": list(references.values())}}
                    made.append((resource, await world.api.create(resource, body, NS)))
                case "delete":
                    resource, obj = made[rest[0] % len(made)] if made else (None, None)
                    if made and uid(obj) in {uid(item) for item in world.api.all(resource)}:
                        asked.add(uid(obj))
                        await world.api.delete(resource, metadata(obj)["name"], NS, propagation=rest[1])
                case _:
                    await world.step(what, *rest)
        await world.settle()
        left = {uid(obj): obj for resource in BOTH for obj in world.api.all(resource)}
        for obj in left.values():
            assert not metadata(obj).get("deletionTimestamp"), "nothing waits for ever"
            owners = {item["uid"] for item in metadata(obj).get("ownerReferences") or ()}
            assert not owners or owners & set(left), "no garbage stays"
            assert owners <= set(left), "no reference to what is gone stays"
        for _, obj in made:
            free = not metadata(obj)["ownerReferences"] and uid(obj) not in asked
            assert not free or uid(obj) in left, "what nobody owns and nobody deletes stays"

    run(story)

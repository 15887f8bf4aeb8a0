"""From one table to the next as one nft transaction: only what differs is rewritten.

Pure. nft applies a whole file or nothing of it, so packets see either the old rules or the new ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .rules import BASE_CHAINS, CONTAINERS, TABLE, Element, Rules, rules
from .table import PortName, ServicePort, ServiceTable, changes


class Claims:
    """Who wants which element. Two Services may name the same external address and port: the first by name has it."""

    def __init__(self) -> None:
        self._verdicts: dict[Element, dict[PortName, str]] = {}

    def verdict(self, element: Element) -> str | None:
        """What the element must lead to, or None when nobody wants it."""
        owners = self._verdicts.get(element)
        return owners[min(owners)] if owners else None

    def release(self, owner: PortName, elements: Iterable[Element]) -> None:
        for element in elements:
            if (owners := self._verdicts.get(element)) is not None:
                owners.pop(owner, None)
                if not owners:
                    del self._verdicts[element]

    def claim(self, owner: PortName, elements: dict[Element, str]) -> None:
        for element, verdict in elements.items():
            self._verdicts.setdefault(element, {})[owner] = verdict


class Ruleset:
    """The rules in force, and how to get to the next ones.

    Each method returns a transaction and takes it for granted; when nft refuses, go on with `replace`.
    """

    def __init__(self, cluster_cidr: str = "") -> None:
        self._cidr = cluster_cidr
        self._table = ServiceTable("")
        self._claims = Claims()

    def replace(self, table: ServiceTable) -> str:
        """Everything anew, whatever the kernel had in `table ip panal` before."""
        self._table, self._claims = ServiceTable(""), Claims()
        frame = "".join(f"{line}\n" for line in _frame())
        return frame + self.update(table)

    def update(self, table: ServiceTable) -> str:
        """What leads from the table before to this one; "" when nothing does."""
        difference = changes(self._table, table)
        old = [self._table.ports[port.name] for port in difference.applied if port.name in self._table.ports]
        before = self._rules([*difference.removed, *old])
        after = self._rules(difference.applied)
        self._table = table
        return "".join(f"{line}\n" for line in self._difference(before, after))

    def _rules(self, ports: Iterable[ServicePort]) -> dict[PortName, Rules]:
        return {port.name: rules(port, self._cidr) for port in ports}

    def _difference(self, before: dict[PortName, Rules], after: dict[PortName, Rules]) -> Iterator[str]:
        old_chains = {name: body for item in before.values() for name, body in item.chains.items()}
        new_chains = {name: body for item in after.values() for name, body in item.chains.items()}
        old_sets = {name: body for item in before.values() for name, body in item.sets.items()}
        new_sets = {name: body for item in after.values() for name, body in item.sets.items()}
        rewritten = [name for name, body in new_chains.items() if old_chains.get(name) != body]
        gone = [name for name in old_chains if name not in new_chains]
        gone_elements, added_elements = self._elements(before, after)

        yield from _element_lines("delete", gone_elements)
        yield from (f"flush chain {TABLE} {name}" for name in [*rewritten, *gone] if name in old_chains)
        yield from (f"delete chain {TABLE} {name}" for name in _callers_first(gone))
        yield from (f"delete set {TABLE} {name}" for name in old_sets if name not in new_sets)
        yield from (f"add set {TABLE} {name} {body}" for name, body in new_sets.items() if name not in old_sets)
        yield from (f"add chain {TABLE} {name}" for name in rewritten if name not in old_chains)
        for name in rewritten:
            yield from (f"add rule {TABLE} {name} {rule}" for rule in new_chains[name])
        yield from _element_lines("add", added_elements)

    def _elements(
        self, before: dict[PortName, Rules], after: dict[PortName, Rules]
    ) -> tuple[dict[Element, str], dict[Element, str]]:
        """Elements to delete and to add, as they are written, after moving the claims on."""
        touched = {element for item in [*before.values(), *after.values()] for element in item.elements}
        had = {element: self._claims.verdict(element) for element in touched}
        for name, item in before.items():
            self._claims.release(name, item.elements)
        for name, item in after.items():
            self._claims.claim(name, item.elements)
        gone: dict[Element, str] = {}
        added: dict[Element, str] = {}
        for element in sorted(touched):
            verdict = self._claims.verdict(element)
            if verdict == had[element]:
                continue
            if had[element] is not None:
                gone[element] = element.key
            if verdict is not None:
                added[element] = f"{element.key} : {verdict}" if verdict else element.key
        return gone, added


def _frame() -> Iterator[str]:
    """The table and its base chains, empty of Services. `add` before `delete`: deleting what is not there fails."""
    yield f"add table {TABLE}"
    yield f"delete table {TABLE}"
    yield f"add table {TABLE}"
    for name, definition in CONTAINERS.items():
        kind, _, body = definition.partition(" ")
        yield f"add {kind} {TABLE} {name} {body}"
    for name, (hook, _) in BASE_CHAINS.items():
        yield f"add chain {TABLE} {name}" + (f" {{ {hook} }}" if hook else "")
    for name, (_, chain_rules) in BASE_CHAINS.items():
        yield from (f"add rule {TABLE} {name} {rule}" for rule in chain_rules)


def _element_lines(verb: str, elements: dict[Element, str]) -> Iterator[str]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for element, text in elements.items():
        grouped[element.container].append(text)
    for container, texts in grouped.items():
        yield f"{verb} element {TABLE} {container} {{ {', '.join(texts)} }}"


def _callers_first(names: list[str]) -> list[str]:
    """external- and service- chains go before the endpoint- chains they lead to; all were flushed before."""
    return sorted(names, key=lambda name: (name.startswith("endpoint-"), name))

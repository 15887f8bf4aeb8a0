"""From one table to the next as one nft transaction: only what differs is rewritten.

Pure. nft applies a whole file or nothing of it, so packets see either the old rules or the new ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .rules import BASE_CHAINS, CONTAINERS, TABLE, Element, Rules, Spread, rules
from .table import PortName, ServicePort, ServiceTable, changes


class Claims:
    """Who wants which element. Two Services may name the same external address and port: the first by name has it."""

    def __init__(self) -> None:
        self._verdicts: dict[Element, tuple[PortName, str] | dict[PortName, str]] = {}
        """With thousands of Services it is nearly always one owner, who is kept without a dict."""

    def verdict(self, element: Element) -> str | None:
        """What the element must lead to, or None when nobody wants it."""
        owners = self._verdicts.get(element)
        if isinstance(owners, dict):
            return owners[min(owners)]
        return owners[1] if owners is not None else None

    def release(self, owner: PortName, elements: Iterable[Element]) -> None:
        for element in elements:
            owners = self._verdicts.get(element)
            if isinstance(owners, dict):
                owners.pop(owner, None)
                if len(owners) == 1:
                    self._verdicts[element] = next(iter(owners.items()))
            elif owners is not None and owners[0] == owner:
                del self._verdicts[element]

    def claim(self, owner: PortName, elements: dict[Element, str]) -> None:
        for element, verdict in elements.items():
            owners = self._verdicts.get(element)
            if isinstance(owners, dict):
                owners[owner] = verdict
            elif owners is None or owners[0] == owner:
                self._verdicts[element] = (owner, verdict)
            else:
                self._verdicts[element] = {owners[0]: owners[1], owner: verdict}


class Ruleset:
    """The rules in force, and how to get to the next ones.

    Each method returns a transaction and takes it for granted; when nft refuses, go on with `replace`.
    """

    def __init__(self, cluster_cidr: str = "") -> None:
        self._cidr = cluster_cidr
        self._table = ServiceTable("")
        self._claims = Claims()
        self._spreads: Counter[Spread] = Counter()
        """How many service ports need each."""

    def replace(self, table: ServiceTable) -> str:
        """Everything anew, whatever the kernel had in `table ip panal` before."""
        self._table, self._claims, self._spreads = ServiceTable(""), Claims(), Counter()
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
        gone_spreads, added_spreads = self._shared(before, after)

        yield from _element_lines("delete", gone_elements)
        yield from _spread_lines("delete", gone_spreads)
        yield from (f"flush chain {TABLE} {name}" for name in [*rewritten, *gone] if name in old_chains)
        yield from (f"delete chain {TABLE} {name}" for name in _callers_first(gone))
        yield from (f"delete set {TABLE} {name}" for name in old_sets if name not in new_sets)
        yield from (f"add set {TABLE} {name} {body}" for name, body in new_sets.items() if name not in old_sets)
        yield from (f"add chain {TABLE} {name}" for name in rewritten if name not in old_chains)
        for name in rewritten:
            yield from (f"add rule {TABLE} {name} {rule}" for rule in new_chains[name])
        for spread in added_spreads:
            yield f"add chain {TABLE} {spread.name}"
            yield from (f"add rule {TABLE} {spread.name} {rule}" for rule in spread.rules(self._cidr))
        yield from _spread_lines("add", added_spreads)
        yield from _element_lines("add", added_elements)
        yield from (f"flush chain {TABLE} {spread.name}" for spread in gone_spreads)
        yield from (f"delete chain {TABLE} {spread.name}" for spread in gone_spreads)

    def _shared(self, before: dict[PortName, Rules], after: dict[PortName, Rules]) -> tuple[list[Spread], list[Spread]]:
        """Spreads that nobody needs any more, and those that somebody needs now; sorted."""
        touched = {spread for item in [*before.values(), *after.values()] for spread in item.spreads}
        had = {spread for spread in touched if self._spreads[spread]}
        for item in before.values():
            self._spreads.subtract(item.spreads)
        for item in after.values():
            self._spreads.update(item.spreads)
        has = {spread for spread in touched if self._spreads[spread]}
        for spread in touched - has:
            del self._spreads[spread]
        return sorted(had - has), sorted(has - had)

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


def _spread_lines(verb: str, spreads: list[Spread]) -> Iterator[str]:
    if spreads:
        yield f"{verb} element {TABLE} spreads {{ {', '.join(spread.element for spread in spreads)} }}"


def _callers_first(names: list[str]) -> list[str]:
    """external- and service- chains go before the endpoint- chains they lead to; all were flushed before."""
    return sorted(names, key=lambda name: (name.startswith("endpoint-"), name))

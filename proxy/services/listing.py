"""A ServiceTable as nft text for people: one `table` block as `nft list table` prints it, which `nft -f` takes too.

Pure. The same rules as the transactions', so that it can be shown where netfilter is not in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .rules import BASE_CHAINS, CONTAINERS, TABLE, Element, Rules, rules
from .table import ServiceTable


def listing(table: ServiceTable, cluster_cidr: str = "") -> Iterator[str]:
    """The lines of the whole table, a Service's chains together."""
    ports = [rules(port, cluster_cidr) for port in sorted(table, key=lambda port: port.name)]
    spreads = sorted({spread for item in ports for spread in item.spreads})
    yield f"table {TABLE} {{"
    for name, definition in CONTAINERS.items():
        found = [spread.element for spread in spreads] if name == "spreads" else _elements(ports, name)
        yield from _container(name, definition, found)
    for item in ports:
        for name, definition in item.sets.items():
            yield from _container(name, f"set {definition}", [])
    for name, (hook, body) in BASE_CHAINS.items():
        yield from _chain(name, ([hook] if hook else []) + list(body))
    for spread in spreads:
        yield from _chain(spread.name, spread.rules(cluster_cidr))
    for item in ports:
        for name, body in item.chains.items():
            yield from _chain(name, body)
    yield "}"


def _elements(ports: Iterable[Rules], container: str) -> list[str]:
    """The first Service by name has an element that several want."""
    found: dict[Element, str] = {}
    for item in ports:
        for element, verdict in item.elements.items():
            if element.container == container:
                found.setdefault(element, verdict)
    return [f"{element.key} : {verdict}" if verdict else element.key for element, verdict in sorted(found.items())]


def _container(name: str, definition: str, elements: list[str]) -> Iterator[str]:
    kind, _, body = definition.partition(" ")
    yield f"\t{kind} {name} {{"
    yield from (f"\t\t{part.strip()}" for part in body.strip("{} ").split(";") if part.strip())
    if elements:
        yield "\t\telements = {"
        yield from (f"\t\t\t{element}," for element in elements)
        yield "\t\t}"
    yield "\t}"


def _chain(name: str, body: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield from (f"\t\t{rule}" for rule in body)
    yield "\t}"

"""A trace for people, a block a hop, and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .chain import Hop

Rows = list[tuple[str, str]]


def document(begin: str, target: str, found: Mapping[str, Any], hops: list[Hop]) -> dict[str, Any]:
    """`failed` is null or the last step that failed: what came before failed because of it."""
    steps = [*_before(begin, found), *hops, *_after(found)]
    shown = [
        {
            "step": hop.step,
            "where": hop.where,
            "atMilliseconds": _at(hop, found),
            "milliseconds": hop.milliseconds,
            "error": hop.why or None,
            **hop.said,
        }
        for hop in steps
    ]
    return {"from": begin, "target": target, "hops": shown, "failed": failed(found, hops)}


def failed(found: Mapping[str, Any], hops: list[Hop]) -> dict[str, str] | None:
    for hop in reversed(hops):
        if hop.why:
            return {"step": hop.step, "where": hop.where, "why": hop.why}
    error = found.get("error")
    return {"step": error["step"], "where": "", "why": error["why"]} if error else None


def _before(begin: str, found: Mapping[str, Any]) -> Iterator[Hop]:
    error = found.get("error") or {}
    if name := found.get("name"):
        took = round(sum(item["milliseconds"] for item in name["asked"]), 2)
        why = error["why"] if error.get("step") == "name" else ""
        yield Hop("name", begin, dict(name), found["started"], took, why)
    if connection := found.get("connection"):
        said = {key: connection[key] for key in ("local", "remote", "protocol", "answered") if key in connection}
        if tls := found.get("tls"):
            said["tls"] = tls
        why = error["why"] if error.get("step") in ("connection", "TLS") else ""
        yield Hop("connection", begin, said, connection["started"], connection.get("milliseconds"), why)


def _after(found: Mapping[str, Any]) -> Iterator[Hop]:
    error = found.get("error") or {}
    if answer := found.get("answer"):
        said = {key: answer[key] for key in ("status", "reason", "text")}
        yield Hop("answer", "", said, None, answer["milliseconds"])
    elif error.get("step") == "answer":
        yield Hop("answer", "", why=error["why"])


def _at(hop: Hop, found: Mapping[str, Any]) -> float | None:
    return None if hop.at is None else round(1e3 * (hop.at - found["started"]), 2)


def print_report(begin: str, target: str, found: Mapping[str, Any], hops: list[Hop]) -> None:
    """With colours on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((begin, "bold"), " -> ", (target, "bold")))
    for number, hop in enumerate([*_before(begin, found), *hops, *_after(found)], 1):
        at = _at(hop, found)
        times = [f"at {at:.1f} ms"] if at is not None else []
        times += [f"took {hop.milliseconds:.1f} ms"] if hop.milliseconds is not None else []
        console.print()
        style = "bold red" if hop.why else "bold cyan"
        console.print(
            Text.assemble(f"{number}. ", (hop.step, style), f"  {hop.where}", (f"   {', '.join(times)}", "dim"))
        )
        for label, text in rows(hop):
            console.print(Text.assemble((f"     {label:<11} ", "dim"), text))
        if hop.why:
            console.print(Text(f"     failed      {hop.why}", style="red"))
    if lost := failed(found, hops):
        where = f" ({lost['where']})" if lost["where"] else ""
        console.print(Text(f"\nIt failed at the step `{lost['step']}`{where}: {lost['why']}.", style="bold red"))


def rows(hop: Hop) -> Rows:
    """What is told of a hop, a line each."""
    said = hop.said
    match hop.step:
        case "name":
            asked = [(f"asked {said['server']}", f"{item['question']}: {item['rcode']}") for item in said["asked"]]
            return [("asked", f"{server.removeprefix('asked ')} for {what}") for server, what in asked] + (
                [("answer", ", ".join(said["addresses"]))] if said["addresses"] else []
            )
        case "connection":
            tls = said.get("tls")
            told = said.get("answered")
            datagram = [("answer", f"{told} bytes" if told is not None else "none within a second")] * (
                "answered" in said
            )
            return [("connection", f"{said.get('local', '(none)')} -> {said['remote']}"), *datagram] + (
                [("TLS", f"{tls['version']} in {tls['milliseconds']:.1f} ms")] if tls else []
            )
        case "load balancer":
            return [("came to", said["destination"]), *_choice("nodes", said)]
        case "node" | "service":
            return _rule(said) if "rule" not in said and "service" in said else []
        case "ingress":
            return _ingress(said)
        case "pod" | "process":
            return _pod(said)
        case "answer":
            text = str(said.get("text", "")).strip().splitlines()
            return [("status", _plain(f"{said['status']} {said['reason']}"))] * ("status" in said) + [
                ("page", _plain(line[:160])) for line in text[:3]
            ]
    return [(key, str(value)) for key, value in said.items()]


def _plain(text: str) -> str:
    """What a server sent, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _choice(label: str, said: Mapping[str, Any]) -> Rows:
    found: Rows = [(label, " | ".join(said.get("candidates") or ()) or "(none)")]
    if choice := said.get("choice"):
        source = f"   (from {said['source']})" if said.get("source") else ""
        found.append(("took", f"{choice}{source}"))
    return found


def _rule(said: Mapping[str, Any]) -> Rows:
    port = f", {said['portName']}" if said["portName"] else ""
    rule = (
        f"{said['kind']} {said['destination']}  ({said['namespace']}/{said['service']}{port})  in {said['mode']} mode"
    )
    return [("rule", rule), *_choice("endpoints", said)]


def _ingress(said: Mapping[str, Any]) -> Rows:
    rule = said["rule"]
    found: Rows = []
    if rule is not None:
        found.append(("rule", f"{rule['host']}{rule['path']}  {rule['pathType']}  ({rule['ingress']})"))
        through = "  through the Service" if rule["throughService"] else ""
        found.append(("upstream", f"{rule['backend']}: {' | '.join(rule['candidates']) or '(none)'}{through}"))
    found += [("refused", f"{item['target']}: {item['why']}") for item in said["refused"]]
    if said["source"]:
        kept = "a kept connection, " if said["reused"] else ""
        found.append(("took", f"{said['target']}   ({kept}from {said['source']})"))
    return [*found, ("status", str(said["status"]))]


def _pod(said: Mapping[str, Any]) -> Rows:
    if "name" not in said:
        return [("port", f"{said['port']}, of the node itself")]
    found: Rows = [("pod", f"{said['namespace']}/{said['name']}  {said['ip']}:{said['port']}")]
    if "container" in said:
        found.append(("container", f"{said['container']}  {said['image']}  {said['containerID']}"))
        found.append(("process", str(said["pid"] or "unknown")))
    return found

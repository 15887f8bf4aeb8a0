"""Checks of webhook configurations, and of the rules that policies share with them (admissionregistration.k8s.io)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, required, too_many
from .checks import Object, formatted, items, optional_choice
from .labelselectors import label_selector

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_VERSIONS = ("v1", "v1beta1")
_CONDITIONS = 64
_FORM = "; desired format: https://host[/path]"


def configuration(obj: Object) -> list[FieldError]:
    """A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""
    errors: list[FieldError] = []
    names: set[str] = set()
    for hook, where in items(obj.get("webhooks"), "webhooks"):
        errors += _webhook(hook, where) + review_versions(
            list(hook.get("admissionReviewVersions") or ()), f"{where}.admissionReviewVersions"
        )
        name = hook.get("name", "")
        if name and name in names:
            errors.append(duplicate(f"{where}.name", name))
        names.add(name)
    return errors


def _webhook(hook: Object, where: str) -> list[FieldError]:
    errors = qualified(hook.get("name", ""), f"{where}.name")
    for found, at in items(hook.get("rules"), f"{where}.rules"):
        errors += rule(found, at)
    errors += optional_choice(hook.get("failurePolicy"), f"{where}.failurePolicy", FAILURE_POLICIES)
    errors += optional_choice(hook.get("matchPolicy"), f"{where}.matchPolicy", MATCH_POLICIES)
    if not hook.get("sideEffects"):
        errors.append(required(f"{where}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    errors += optional_choice(hook.get("sideEffects") or None, f"{where}.sideEffects", _SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        words = "the timeout value must be between 1 and 30 seconds"
        errors.append(bad(f"{where}.timeoutSeconds", seconds, words))
    for key in ("namespaceSelector", "objectSelector"):
        errors += label_selector(hook.get(key), f"{where}.{key}")
    reinvoked = hook.get("reinvocationPolicy")
    errors += optional_choice(reinvoked, f"{where}.reinvocationPolicy", REINVOCATION_POLICIES)
    errors += client(hook.get("clientConfig") or {}, f"{where}.clientConfig")
    return errors + conditions(hook.get("matchConditions"), f"{where}.matchConditions")


def qualified(name: str, field: str) -> list[FieldError]:
    """A name of at least three parts, so that nobody else has it."""
    if not name:
        return [required(field)]
    if wrong := formats.subdomain_name(name):
        return [bad(field, name, ",".join(wrong))]
    words = "should be a domain with at least three segments separated by dots"
    return [] if len(name.split(".")) > 2 else [bad(field, name, words)]


def review_versions(found: list[str], field: str, missing: str | None = None) -> list[FieldError]:
    """The versions of reviews that a webhook understands. `missing` are the words for having none."""
    known = ", ".join(_VERSIONS)
    if not found:
        return [required(field, f"must specify one of {known}" if missing is None else missing)]
    errors: list[FieldError] = []
    for index, version in enumerate(found):
        if version in found[:index]:
            errors.append(bad(f"{field}[{index}]", version, "duplicate version"))
        else:
            errors += formatted(version, f"{field}[{index}]", formats.label_name_1035)
    if not any(version in _VERSIONS for version in found):
        errors.append(bad(field, found, f"must include at least one of {known}"))
    return errors


def rule(found: Object, where: str) -> list[FieldError]:
    """A RuleWithOperations."""
    operations = list(found.get("operations") or ())
    errors = [] if operations else [required(f"{where}.operations")]
    errors += _everything(operations, f"{where}.operations", "operations")
    for each, at in items(operations, f"{where}.operations"):
        errors += optional_choice(each, at, OPERATIONS)
    for key, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        if not found.get(key):
            errors.append(required(f"{where}.{key}"))
        errors += _everything(list(found.get(key) or ()), f"{where}.{key}", what)
    errors += [required(at) for each, at in items(found.get("apiVersions"), f"{where}.apiVersions") if not each]
    errors += _resources(list(found.get("resources") or ()), f"{where}.resources")
    return errors + optional_choice(found.get("scope"), f"{where}.scope", SCOPES)


def _everything(found: list[str], field: str, what: str) -> list[FieldError]:
    if len(found) > 1 and "*" in found:
        return [bad(field, found, f"if '*' is present, must not specify other {what}")]
    return []


def _resources(found: list[str], field: str) -> list[FieldError]:
    """`pods`, `pods/status`, `pods/*`, `*/scale`, `*`, `*/*`: none of them twice."""
    errors = [] if found else [required(field)]
    all_below: set[str] = set()
    of_all: set[str] = set()
    plain = False
    for resource, at in items(found, field):
        if not resource:
            errors.append(required(at))
            continue
        name, slash, below = resource.partition("/")
        if not slash:
            plain = resource != "*"
            continue
        if name in all_below:
            errors.append(bad(at, resource, f"if '{name}/*' is present, must not specify {resource}"))
        if below in of_all:
            errors.append(bad(at, resource, f"if '*/{below}' is present, must not specify {resource}"))
        if below == "*":
            all_below.add(name)
        if name == "*":
            of_all.add(below)
    if len(found) > 1 and "*/*" in found:
        errors.append(bad(field, found, "if '*/*' is present, must not specify other resources"))
    if "*" in found and plain:
        words = "if '*' is present, must not specify other resources without subresources"
        errors.append(bad(field, found, words))
    return errors


def client(client: Object, where: str) -> list[FieldError]:
    """Where a webhook is."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [required(where, "exactly one of url or service is required")]
    return _url(url, f"{where}.url") if url is not None else _service(service or {}, f"{where}.service")


def _url(url: str, field: str) -> list[FieldError]:
    try:
        found = urlsplit(url)
    except ValueError as error:
        return [required(field, f'url must be a valid URL: parse "{url}": {error}{_FORM}')]
    errors: list[FieldError] = []
    if found.scheme != "https":
        errors.append(bad(field, found.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, _, host = found.netloc.rpartition("@")
    if not host:
        errors.append(bad(field, host, f"host must be provided{_FORM}"))
    for shown, what in (
        (user, "user information is"), (found.fragment, "fragments are"), (found.query, "query parameters are"),
    ):  # fmt: skip
        if shown:
            errors.append(bad(field, shown, f"{what} not permitted in the URL"))
    return errors


def _service(service: Object, where: str) -> list[FieldError]:
    """Kubernetes takes the name for the namespace here, and the namespace for the name."""
    errors: list[FieldError] = []
    if not service.get("namespace"):
        errors.append(required(f"{where}.name", "service name is required"))
    if not service.get("name"):
        errors.append(required(f"{where}.namespace", "service namespace is required"))
    number, path = service.get("port", 443), service.get("path") or "/"
    if wrong := formats.port_number(number):
        errors.append(bad(f"{where}.port", number, f"port is not valid: {', '.join(wrong)}"))
    if path == "/":
        return errors
    if path == "//":
        return [*errors, bad(f"{where}.path", path, "segment[0] may not be empty")]
    if not path.startswith("/"):
        errors.append(bad(f"{where}.path", path, "must start with a '/'"))
    for index, step in enumerate(path[1:].removesuffix("/").split("/")):
        wrong = formats.subdomain_name(step)
        words = [f"segment[{index}]: {text}" for text in wrong] if step else [f"segment[{index}] may not be empty"]
        errors += [bad(f"{where}.path", path, text) for text in words]
    return errors


def conditions(found: Any, field: str) -> list[FieldError]:
    """Match conditions: names that are their own, and expressions that can be read."""
    errors = [too_many(field, len(found), _CONDITIONS)] if found and len(found) > _CONDITIONS else []
    names: set[str] = set()
    for condition, where in items(found, field):
        errors += expression(condition.get("expression"), f"{where}.expression", "")
        name = condition.get("name", "")
        errors += formatted(name, f"{where}.name", formats.qualified_name) if name else [required(f"{where}.name")]
        if name and name in names:
            errors.append(duplicate(f"{where}.name", name))
        names.add(name)
    return errors


def expression(found: Any, field: str, missing: str = "expression is not specified") -> list[FieldError]:
    """CEL, which is loaded when the first expression is written."""
    text = str(found or "")
    if not text.strip():
        return [required(field, missing)]
    from ..policies import expressions

    words = expressions.complaint(text)
    return [bad(field, text, words)] if words else []

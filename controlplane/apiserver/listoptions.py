"""What the parameters of a list or watch may be together, with Kubernetes' words for what they may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from panal.errors import BadRequest, Gone, Invalid, StatusError

from .request import Query
from .revisions import parse_revision

_EXACT, _NOT_OLDER = "Exact", "NotOlderThan"
_FORBIDDEN, _UNSUPPORTED = "FieldValueForbidden", "FieldValueNotSupported"
_MATCH = "resourceVersionMatch"

EXPIRED_LIST = "The resourceVersion for the provided list is too old."
EXPIRED_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True)
class Options:
    """A list's parameters, checked. `revision` 0: any (`given` "0"), or the newest (`given` "")."""

    given: str
    revision: int
    match: str
    token: str
    limit: int

    @property
    def exact(self) -> bool:
        """Whether the list is that of `revision` and no other."""
        return self.revision > 0 and (self.match == _EXACT or (not self.match and self.limit > 0))

    @property
    def paged(self) -> bool:
        """Whether `limit` counts: a list of any revision is answered whole."""
        return self.limit > 0 and self.given != "0"


def for_list(query: Query) -> Options:
    """Raises Invalid and BadRequest."""
    options = _read(query)
    match, complaints = options.match, []
    if match:
        if not options.given:
            complaints.append((_FORBIDDEN, _MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided"))
        if options.token:
            complaints.append((_FORBIDDEN, _MATCH, f"{_MATCH} is forbidden when continue is provided"))
        if match not in (_EXACT, _NOT_OLDER):
            complaints.append(_unsupported(match, f'"{_EXACT}", "{_NOT_OLDER}", ""'))
        if match == _EXACT and options.given == "0":
            why = f'{_MATCH} "exact" is forbidden for resourceVersion "0"'
            complaints.append((_FORBIDDEN, _MATCH, why))
    if "sendInitialEvents" in query:
        complaints.append((_FORBIDDEN, "sendInitialEvents", "sendInitialEvents is forbidden for list"))
    _refuse(complaints)
    if options.token and options.given not in ("", "0"):
        raise BadRequest("specifying resource version is not allowed when using continue")
    return options


def for_watch(query: Query) -> Options:
    """Raises Invalid and BadRequest."""
    options = _read(query)
    match, complaints = options.match, []
    if (initial := "sendInitialEvents" in query) and match != _NOT_OLDER:
        why = f"sendInitialEvents requires setting {_MATCH} to {_NOT_OLDER}"
        complaints.append((_FORBIDDEN, _MATCH, why))
    if match:
        if not initial:
            why = f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided"
            complaints.append((_FORBIDDEN, _MATCH, why))
        if match != _NOT_OLDER:
            complaints.append(_unsupported(match, f'"{_NOT_OLDER}"'))
        if options.token:
            complaints.append((_FORBIDDEN, _MATCH, f"{_MATCH} is forbidden when continue is provided"))
    _refuse(complaints)
    return options


def _read(query: Query) -> Options:
    given = query.get("resourceVersion")
    limit = query.integer("limit") or 0
    return Options(given, parse_revision(given), query.get(_MATCH), query.get("continue"), max(limit, 0))


def _unsupported(match: str, supported: str) -> tuple[str, str, str]:
    return _UNSUPPORTED, _MATCH, f'"{match}": supported values: {supported}'


def _refuse(complaints: list[tuple[str, str, str]]) -> None:
    if not complaints:
        return
    words = {_FORBIDDEN: "Forbidden", _UNSUPPORTED: "Unsupported value"}
    causes = [
        {"reason": reason, "message": f"{words[reason]}: {why}", "field": field} for reason, field, why in complaints
    ]
    texts = [f"{cause['field']}: {cause['message']}" for cause in causes]
    shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    raise Invalid(
        f'ListOptions.meta.k8s.io "" is invalid: {shown}',
        details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes},
    )


def too_large(asked: int, current: int) -> StatusError:
    """A revision that is not there yet."""
    return StatusError(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        code=504,
        reason="Timeout",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
    )


def expired(token: str = "") -> Gone:
    """The history asked for is forgotten; `token` goes on from the same key at the newest revision."""
    return Gone(EXPIRED_PAGE, metadata={"continue": token}) if token else Gone(EXPIRED_LIST)

"""The API's errors, once: every part raises these, the API server turns them into Status objects, the client back.

Codes and reasons are those of Kubernetes' metav1.StatusReason (API conventions, "Response Status Kind").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class StatusError(Exception):
    """An answer of the API that is not a success. `details` is a metav1.StatusDetails, or None."""

    code: int = 500
    reason: str = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        code: int | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details is not None else None
        self.metadata = dict(metadata or {})
        """The Status' ListMeta: an expired list's way to go on."""
        if code is not None:
            self.code = code
        if reason is not None:
            self.reason = reason

    def status(self) -> dict[str, Any]:
        """The metav1.Status object that says this."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    code, reason = 404, "NotFound"


class MethodNotSupported(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    code, reason = 409, "Conflict"


class Gone(StatusError):
    """The revision asked for is no longer kept: list again (410, reason Expired)."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class ServerTimeout(StatusError):
    code, reason = 500, "ServerTimeout"


class _ByReason:
    table: ClassVar[dict[str, type[StatusError]]] = {
        kind.reason: kind
        for kind in (
            BadRequest, Unauthorized, Forbidden, NotFound, MethodNotSupported, NotAcceptable, AlreadyExists, Conflict,
            Gone, RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError,
            ServiceUnavailable, ServerTimeout,
        )
    }  # fmt: skip
    by_code: ClassVar[dict[int, type[StatusError]]] = {
        400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 405: MethodNotSupported, 406: NotAcceptable,
        409: Conflict, 410: Gone, 413: RequestEntityTooLarge, 415: UnsupportedMediaType, 422: Invalid,
        429: TooManyRequests, 503: ServiceUnavailable,
    }  # fmt: skip


def from_status(status: Mapping[str, Any]) -> StatusError:
    """The exception that a Status object of the API stands for; a plain StatusError when its reason is unknown."""
    code = int(status.get("code") or 500)
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or f"the server answered {code}")
    kind = _ByReason.table.get(reason) or _ByReason.by_code.get(code, StatusError)
    return kind(
        message, details=status.get("details"), code=code, reason=reason or kind.reason, metadata=status.get("metadata")
    )


def resource_name(plural: str, group: str) -> str:
    """How messages name a resource: `pods`, `deployments.apps`."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> NotFound:
    """`pods "a" not found`, as the API says it."""
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    return NotFound(f'{resource_name(plural, group)} "{name}" not found', details=details)


def already_exists(plural: str, group: str, name: str) -> AlreadyExists:
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    return AlreadyExists(f'{resource_name(plural, group)} "{name}" already exists', details=details)


def conflict(plural: str, group: str, name: str, why: str) -> Conflict:
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    return Conflict(f'Operation cannot be fulfilled on {resource_name(plural, group)} "{name}": {why}', details=details)

"""Errors of the control plane, each with the Kubernetes `Status` it becomes.

An `ApiError` is whose-fault information for a caller: HTTP code, reason (the Kubernetes word),
and a message with three parts: what is wrong, with which value, what would mend it.
Mistakes in an object are never raised one by one: they are collected as `FieldError` values and
raised together as `Invalid` (Kubernetes API conventions, "Response Status Kind").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in an object.

    `path` is dotted from the root (`spec.predictor.model.modelFormat.name`, lists as `[0]`),
    `reason` a Kubernetes cause (`FieldValueInvalid`, `FieldValueRequired`, `FieldValueForbidden`,
    `FieldValueNotSupported`, `FieldValueDuplicate`, `FieldValueUnknown`), `message` for people.
    """

    path: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ApiError(Exception):
    """Base of the errors that an API caller sees. Never raised itself."""

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """Return the `v1` `Status` object that Kubernetes clients expect."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


class BadRequest(ApiError):
    """The request itself cannot be read."""

    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    """No token, or a wrong one."""

    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    """Understood and refused (admission, host or origin checks)."""

    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    """No such object, resource or path."""

    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    """The resource exists but not that verb."""

    code, reason = 405, "MethodNotAllowed"


class AlreadyExists(ApiError):
    """Create of a name that is taken."""

    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    """The resourceVersion or a precondition is not the stored one, or field managers disagree."""

    code, reason = 409, "Conflict"


class Expired(ApiError):
    """A watch or continue token older than what is kept; list again (HTTP 410)."""

    code, reason = 410, "Expired"


class UnsupportedMediaType(ApiError):
    """A body or patch type that is not served."""

    code, reason = 415, "UnsupportedMediaType"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an error is about: names for `details`."""

    kind: str = ""
    name: str = ""
    group: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Invalid(ApiError):
    """The object is wrong; carries every mistake found (HTTP 422)."""

    code, reason = 422, "Invalid"

    def __init__(self, subject: Subject, errors: list[FieldError]) -> None:
        joined = ", ".join(str(e) for e in errors)
        text = joined if len(errors) == 1 else f"[{joined}]"
        qualified = f"{subject.kind}.{subject.group}" if subject.group else subject.kind
        causes = [{"reason": e.reason, "message": e.message, "field": e.path} for e in errors]
        super().__init__(
            f'{qualified} "{subject.name}" is invalid: {text}',
            details={
                "name": subject.name,
                "group": subject.group,
                "kind": subject.kind,
                "causes": causes,
            },
        )
        self.errors = errors

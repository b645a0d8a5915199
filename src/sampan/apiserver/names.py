"""Names that Kubernetes takes, DNS-1123 subdomains and labels, and how much may be noted. Pure."""

from __future__ import annotations

import re

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject, Resource

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
MAX_LABEL, MAX_SUBDOMAIN = 63, 253
MAX_ANNOTATIONS = 256 * 1024  # keys and values (apimachinery, TotalAnnotationSizeLimitB)
_LABEL, _SUBDOMAIN = re.compile(LABEL), re.compile(SUBDOMAIN)

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    f"for validation is '{LABEL}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{SUBDOMAIN}')"
)


def validate_name(resource: Resource, obj: JsonObject) -> list[FieldError]:
    """Return the mistakes in `metadata.name` (or `generateName`), with Kubernetes's texts."""
    meta = obj["metadata"]
    name, prefix = meta.get("name"), meta.get("generateName")
    if name:
        return _check(resource, "metadata.name", str(name))
    # what comes after the prefix is always alphanumeric
    return _check(resource, "metadata.generateName", str(prefix) + "x") if prefix else []


def validate_annotations(obj: JsonObject) -> list[FieldError]:
    """Return the mistake of annotations that are too large together, with Kubernetes's text."""
    found = obj["metadata"].get("annotations") or {}
    pairs = found.items() if isinstance(found, dict) else ()
    size = sum(len(str(key).encode()) + len(str(value).encode()) for key, value in pairs)
    if size <= MAX_ANNOTATIONS:
        return []
    text = f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"
    return [FieldError("metadata.annotations", text, "FieldValueTooLong")]


def _check(resource: Resource, path: str, name: str) -> list[FieldError]:
    label = resource.id == "namespaces"
    pattern, text, limit = (
        (_LABEL, LABEL_TEXT, MAX_LABEL) if label else (_SUBDOMAIN, SUBDOMAIN_TEXT, MAX_SUBDOMAIN)
    )
    found = []
    if not pattern.fullmatch(name):
        found.append(FieldError(path, f'Invalid value: "{name}": {text}'))
    if len(name) > limit:
        shown = f"{name[:20]}..."
        text = f'Invalid value: "{shown}": must be no more than {limit} bytes'
        found.append(FieldError(path, text))
    return found

"""Answers of stores taken apart: XML, and what a refusal means. Pure.

Words after KServe's storage initializer; each names what would mend it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from sampan.storage.base import StorageError
from sampan.storage.http_status import make_status_error

_SHOWN_LETTERS = 300


@dataclass(frozen=True, slots=True)
class Words:
    """How one protocol speaks of itself in errors.

    `credentials` says what to verify, `bucket` what a bucket is called. `keyless` are the codes of
    a refusal that mean wrong credentials and not missing rights, `bucketless` those of no bucket.
    """

    protocol: str
    bucket: str
    credentials: str
    keyless: frozenset[str]
    bucketless: frozenset[str]


def parse_xml(body: bytes) -> ET.Element:
    """Return a document's root, its names without namespaces; ValueError where it is none.

    Document types are refused: entities are what makes foreign XML dangerous, and no store has any.
    So are encodings in which one would not be seen: stores write UTF-8.
    """
    if b"\0" in body:
        raise ValueError("the XML is not encoded as UTF-8")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("the XML has a document type")
    try:
        root = ET.fromstring(body)  # noqa: S314  # without a document type there are no entities
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def read_refusal(headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Return the code and the message of a refusal, "" where it has none."""
    text = body.lstrip(b"\xef\xbb\xbf").strip()
    if text.startswith(b"<"):
        try:
            root = parse_xml(text)
        except ValueError:
            return headers.get("x-ms-error-code", ""), ""
        code, message = root.findtext(".//Code") or "", root.findtext(".//Message") or ""
        return code, _short(message)
    try:
        told = json.loads(text)
        error = told["error"]
        if isinstance(error, str):  # OAuth (RFC 6749, 5.2)
            return error, _short(str(told.get("error_description") or ""))
        return str(error.get("status") or error.get("code") or ""), _short(str(error["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return headers.get("x-ms-error-code", ""), ""


def make_refusal(
    words: Words,
    place: tuple[str, str],
    answer: tuple[int, Mapping[str, str], bytes],
    *,
    anonymous: bool,
) -> StorageError:
    """Return what a refusal means. `place` is the URI as it is shown, and its bucket."""
    (shown, bucket), (status, headers, body) = place, answer
    code, message = read_refusal(headers, body)
    told = f"status {status}" + (f", {code}" if code else "") + (f": {message}" if message else "")
    if code in words.bucketless or (status == 404 and not code):
        return StorageError(
            "ModelNotFound",
            f'{words.protocol} {words.bucket} "{bucket}" of "{shown}" does not exist ({told}); '
            "check its name, and at which endpoint and in which region it is",
        )
    if status in {401, 403} and anonymous:
        return StorageError(
            "AccessDenied",
            f'{words.protocol} denies access to "{shown}" ({told}), asked without credentials; '
            f"{words.credentials}, or make it public",
        )
    if code in words.keyless or status == 401:
        return StorageError(
            "AuthenticationFailed",
            f'{words.protocol} authentication failed for "{shown}" ({told}); {words.credentials}',
        )
    if status == 403:
        return StorageError(
            "AccessDenied",
            f'access denied to {words.protocol} resource "{shown}" ({told}); let these '
            "credentials list and read it",
        )
    if status == 404:
        return StorageError(
            "ModelNotFound",
            f'{words.protocol} resource "{shown}" not found ({told}); check its path',
        )
    waits = make_status_error(shown, status, headers)
    if waits.retryable:
        waits.message = (
            f'{words.protocol} cannot answer for "{shown}" now ({told}); try again later'
        )
        waits.args = (waits.message,)
        return waits
    return StorageError(
        "UnexpectedStatus",
        f'{words.protocol} error for "{shown}" ({told}); check endpoint, region and path',
    )


def _short(text: str) -> str:
    """Return a store's own words in one line; behind the first line stand ids of the request."""
    line = re.sub(r"\s+", " ", (text.strip().splitlines() or [""])[0]).strip().rstrip(".")
    return line if len(line) <= _SHOWN_LETTERS else line[:_SHOWN_LETTERS] + "…"

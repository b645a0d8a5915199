"""What a source promises its bytes to hash to, and whether they do.

Only digests of the *whole* file count: a Content-MD5 of a partial answer covers the part.
"""

from __future__ import annotations

import hashlib
import re
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from pathlib import Path

from sampan.storage.base import StorageError

_KNOWN = {"md5": "md5", "sha-256": "sha256", "sha-512": "sha512", "sha256": "sha256"}
_READ_BYTES = 1024**2
_MD5 = re.compile(r"[0-9a-f]{32}")


def derive_digests(headers: Mapping[str, str], *, partial: bool) -> dict[str, str]:
    """Return hashlib's name to hex digest, as far as a response tells. Pure.

    `headers` have lower-case names. Read are Repr-Digest (RFC 9530), Digest (RFC 3230),
    Content-MD5 (RFC 1864, whole answers only), x-goog-hash and x-amz-checksum-sha256 (whole objects
    by their makers' documentation), and the ETag of S3 where it is an MD5.
    """
    found: dict[str, str] = {}
    for name in ("repr-digest", "digest"):
        found |= _listed(headers.get(name, ""))
    # Google tells the hash of what is stored; an object stored compressed may be sent unpacked.
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        found |= _listed(headers.get("x-goog-hash", ""))
    if not partial:
        found |= _listed(f"md5={headers.get('content-md5', '')}")
    if "-" not in headers.get("x-amz-checksum-sha256", "-"):
        found |= _listed(f"sha256={headers['x-amz-checksum-sha256']}")
    etag = headers.get("etag", "").strip('"')
    if _is_s3_md5(headers, etag):
        found.setdefault("md5", etag)
    return found


def _listed(value: str) -> dict[str, str]:
    """Return the digests of `alg=base64, alg=:base64:`; unknown ones and misspelt ones are left."""
    found = {}
    for item in value.split(","):
        algorithm, _, text = item.strip().partition("=")
        name = _KNOWN.get(algorithm.strip().lower())
        try:
            raw = b64decode(text.strip().strip(":"), validate=True)
        except Base64Error:
            continue
        if name and len(raw) == hashlib.new(name, usedforsecurity=False).digest_size:
            found[name] = raw.hex()
    return found


def _is_s3_md5(headers: Mapping[str, str], etag: str) -> bool:
    """Tell whether an ETag is the MD5 of an S3 object ("Common response headers", ETag).

    It is for objects put in one part, in plain or encrypted by S3's own keys (AES256).
    """
    encryption = headers.get("x-amz-server-side-encryption", "AES256")
    customer_key = "x-amz-server-side-encryption-customer-algorithm" in headers
    s3 = headers.get("server", "").lower() == "amazons3" and "x-amz-request-id" in headers
    return s3 and encryption == "AES256" and not customer_key and bool(_MD5.fullmatch(etag))


def hash_file(path: Path, names: Iterable[str], stop: threading.Event) -> dict[str, str]:
    """Return a file's digests in hex by hashlib's names, in one pass; `stop` ends it early."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as file:
        while hashes and (chunk := file.read(_READ_BYTES)) and not stop.is_set():
            for each in hashes.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in hashes.items()}


def validate_digests(found: Mapping[str, str], promised: Mapping[str, str], shown: str) -> None:
    """Raise StorageError unless every promised digest is what was found. Pure."""
    for name, digest in promised.items():
        if found[name] != digest:
            raise StorageError(
                "ChecksumMismatch",
                f'"{shown}" has the {name} {found[name]}, and {digest} was promised; '
                "fetch it again, or correct the checksum if the file was meant to change",
            )

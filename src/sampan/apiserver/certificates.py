"""The server's TLS certificate: made at the first start, kept in the state folder, 0600.

A fresh authority signs one certificate for loopback names and its key is then forgotten, so that
nobody can ever sign another one that the user's kubeconfig would trust.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from sampan.apiserver.private_file import write_private
from sampan.machinery.authority import make_pair, read_end

VALID_DAYS = 3650
RENEW_DAYS = 30
NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are. `authority` is what clients trust."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context


def apply_certificates(folder: Path, now: float) -> Certificates:
    """Return the certificates in `folder`; made anew where absent or about to end."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    if not _are_good(found, now):
        _write_new(found, now)
    return found


def _are_good(found: Certificates, now: float) -> bool:
    try:
        ends = [read_end(p.read_bytes()) for p in (found.authority, found.certificate)]
        found.context()
    except (OSError, ValueError):
        return False
    return min(ends) - now > RENEW_DAYS * 86400


def _write_new(wanted: Certificates, now: float) -> None:
    pair = make_pair("sampan local authority", NAMES, now, VALID_DAYS)
    write_private(wanted.authority, pair.authority)
    write_private(wanted.certificate, pair.certificate)
    write_private(wanted.key, pair.key)

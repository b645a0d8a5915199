"""A certificate for a server of our own, signed by an authority that signs nothing else.

The authority's key is forgotten at once, so that nobody can ever sign another certificate that
those would trust who trust this one.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM texts: what clients trust, what the server shows, and its key."""

    authority: bytes
    certificate: bytes
    key: bytes


def make_pair(authority_name: str, names: tuple[str, ...], now: float, days: float) -> Pair:
    """Return a fresh pair for DNS names and addresses, good for `days` from `now`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    life = _Life(now, days)
    authority = _make_authority(authority_name, authority_key, life)
    certificate = _make_certificate(names, key, (authority, authority_key), life)
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return Pair(
        authority.public_bytes(pem),
        certificate.public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    )


def read_end(pem: bytes) -> float:
    """Return when the first certificate of a text ends, in Unix seconds; raise ValueError."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


@dataclass(frozen=True, slots=True)
class _Life:
    now: float
    days: float


def _make_authority(name: str, key: EllipticCurvePrivateKey, life: _Life) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    builder = _builder(_name(name), _name(name), key, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_key_usage(signs=True), critical=True).sign(key, hashes.SHA256())


def _make_certificate(
    names: tuple[str, ...],
    key: EllipticCurvePrivateKey,
    authority: tuple[x509.Certificate, EllipticCurvePrivateKey],
    life: _Life,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer, signer_key = authority
    builder = _builder(_name("sampan"), signer.subject, key, life)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([_alternative(n) for n in names]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer_key, hashes.SHA256())


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, life: _Life
) -> x509.CertificateBuilder:
    from cryptography import x509

    start = dt.datetime.fromtimestamp(life.now, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - dt.timedelta(hours=1))  # clocks of clients may be behind
        .not_valid_after(start + dt.timedelta(days=life.days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

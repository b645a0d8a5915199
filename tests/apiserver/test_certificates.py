"""Keys, certificates and the token: made once, private, renewed in time."""

from __future__ import annotations

import ssl
import stat
import time

import pytest
from cryptography import x509

from sampan.apiserver.certificates import RENEW_DAYS, VALID_DAYS, apply_certificates
from sampan.apiserver.token import apply_token

NOW = time.time()


def test_they_are_made_once_and_private(tmp_path):
    first = apply_certificates(tmp_path / "tls", NOW)
    key = first.key.read_bytes()
    assert apply_certificates(tmp_path / "tls", NOW).key.read_bytes() == key
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "tls").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_the_authority_cannot_be_used_again(tmp_path):
    made = apply_certificates(tmp_path, NOW)
    assert {p.name for p in tmp_path.iterdir()} == {"ca.crt", "server.crt", "server.key"}
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca is False


def test_they_are_made_anew_shortly_before_their_end(tmp_path):
    first = apply_certificates(tmp_path, NOW).key.read_bytes()
    late = NOW + (VALID_DAYS - RENEW_DAYS + 1) * 86400
    assert apply_certificates(tmp_path, late).key.read_bytes() != first


@pytest.mark.parametrize("name", ["ca.crt", "server.crt", "server.key"])
@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_a_broken_or_missing_file_is_made_anew(tmp_path, name, content):
    apply_certificates(tmp_path, NOW)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert apply_certificates(tmp_path, NOW).context().get_ciphers()


def test_a_strict_client_trusts_them(tmp_path):
    made = apply_certificates(tmp_path, NOW)
    client = ssl.create_default_context(cafile=made.authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    mine = client.wrap_bio(inside, outside, server_hostname="127.0.0.1")
    theirs = made.context().wrap_bio(outside, inside, server_side=True)
    for _ in range(4):
        for side in (mine, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert mine.version() == "TLSv1.3"


def test_the_token_is_made_once_and_private(tmp_path):
    path = tmp_path / "state" / "token"
    token = apply_token(path)
    assert len(token) >= 40
    assert apply_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    apply_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

"""What a request head must be to be read on: the rules that llhttp leaves to its user. Pure."""

from __future__ import annotations

from sampan.protocol.errors import error_body
from sampan.wire.limits import Limits
from sampan.wire.message import HeaderList, Response


class Refused(Exception):
    """The request is not served; carries the answer, after which the connection closes."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = Response(status, error_body(text))


def validate_head(version: str, headers: HeaderList, limits: Limits) -> bool:
    """Raise Refused, or return whether the peer waits for `100 Continue`."""
    hosts = 0
    expects = False
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if int(value) > limits.body_bytes:  # llhttp let only digits pass
                raise body_too_large(limits)
        elif name == b"transfer-encoding":
            _validate_coding(version, value)
        elif name == b"expect":
            expects = _validate_expectation(value)
    _validate_version(version, hosts)
    return expects


def _validate_version(version: str, hosts: int) -> None:
    if version == "1.1":
        if hosts != 1:  # RFC 9112, section 3.2
            raise Refused(400, f"{hosts} host headers; HTTP/1.1 needs exactly one")
    elif version != "1.0":
        raise Refused(505, f"HTTP version {version} is not served; use HTTP/1.1")


def _validate_coding(version: str, value: bytes) -> None:
    """RFC 9112, section 6.1: any other coding, or any in HTTP/1.0, may hide a second request."""
    if version != "1.1":
        raise Refused(400, "transfer-encoding in an HTTP/1.0 request; use HTTP/1.1")
    if value.lower() != b"chunked":
        raise Refused(
            501, f'transfer-encoding "{value.decode("latin-1")}" is not served; send "chunked"'
        )


def _validate_expectation(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise Refused(417, f'expectation "{value.decode("latin-1")}" is not served; leave it out')
    return True


def body_too_large(limits: Limits) -> Refused:
    """Return the refusal of a body above the limit."""
    return Refused(
        413,
        f"request body is larger than {limits.body_bytes} bytes; send less in one request "
        "or raise --max_body_bytes",
    )


def head_too_large(limits: Limits) -> Refused:
    """Return the refusal of request line and headers above the limit."""
    return Refused(431, f"request headers are larger than {limits.header_bytes} bytes; send less")


def too_many_headers(limits: Limits) -> Refused:
    """Return the refusal of a head with too many lines."""
    return Refused(431, f"more than {limits.header_count} request headers; send fewer")

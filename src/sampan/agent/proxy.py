"""Passing a request on to the component beside the agent, and its answer back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sampan.machinery.web_address import Origin
from sampan.wire.message import HeaderList, Request, Response
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed

Send = Callable[[Request, Callable[[Response], None]], Callable[[], None]]
"""Sends a request; tells its answer, once; what is returned calls it off."""

TEXT = b"text/plain; charset=utf-8"

# RFC 9110, section 7.6.1: what is said to the next hop alone. An answer is asked for unpacked,
# since it may be logged or parted; `expect` has been answered already.
_OWN = frozenset(
    {
        b"accept-encoding", b"connection", b"content-length", b"expect", b"keep-alive",
        b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip


class Proxy:
    """Calls one component on this machine. Made and used on its loop's thread."""

    def __init__(self, upstreams: Upstreams, port: int) -> None:
        self.origin = Origin("http", "127.0.0.1", port)
        self._pool = upstreams.pool(self.origin)

    def send(self, request: Request, done: Callable[[Response], None]) -> Callable[[], None]:
        """Send a request as it came, and tell its answer."""

        def tell(result: Answer | CallFailed) -> None:
            done(make_response(result))

        return self._pool.call(render_head(request), request.body, None, tell, streams=True)


def render_head(request: Request) -> bytes:
    """Return the first line and the headers that go on. Pure."""
    # llhttp cannot know that an answer to HEAD has no body: it is asked for, and not passed on.
    method = b"GET" if request.method == b"HEAD" else request.method
    lines = [b"%b %b HTTP/1.1" % (method, request.target)]
    lines += [name + b": " + value for name, value in select_headers(request.headers)]
    lines.append(b"content-length: %d\r\n\r\n" % len(request.body))
    return b"\r\n".join(lines)


def select_headers(headers: HeaderList) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that are meant for who answers (names in lower case). Pure."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    }
    return ((n, v) for n, v in headers if n not in _OWN and n not in named)


def make_response(result: Answer | CallFailed) -> Response:
    """Return what a client is told of a call. Pure."""
    if isinstance(result, CallFailed):
        return Response(502, f"{result.message}\n".encode(), TEXT)
    fields = [(name.lower(), value.strip()) for name, value in result.fields]
    kept = tuple(f for f in select_headers(fields) if f[0] not in {b"content-type", b"date"})
    return Response(result.status, result.body, result.content_type, kept, chunks=result.chunks)

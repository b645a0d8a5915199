"""An answer as it comes in, read by llhttp (RFC 9112): bytes in, an answer or its failure out.

Pure. An answer is taken whole. What follows it unasked is never taken for the next call's answer:
`reusable` is false then, and the connection ends.
"""

from __future__ import annotations

import httptools

from sampan.wire.upstream_answer import Answer, CallFailed, UpstreamLimits

_MEASURES = frozenset({b"content-length", b"transfer-encoding"})
_PLAIN = frozenset({b"", b"identity"})


class Incoming:
    """The reading side of one connection. `name` is the server's, for messages."""

    def __init__(self, name: str, limits: UpstreamLimits) -> None:
        self._name = name
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._content_type = b""
        self._encoding = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._head = 0  # bytes given to llhttp before the head was complete
        self._framed = False  # the head is complete
        self._measured = False  # the head says how long the body is
        self._complete = False
        self._excess = False  # more came than the answer
        self.reusable = False

    def feed(self, data: bytes) -> Answer | CallFailed | None:
        """Take bytes; return what came of the call, None while it is not known yet."""
        if not self._framed:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return self._invalid("switched protocols, unasked")
        except httptools.HttpParserError as error:
            if not self._complete:
                return self._invalid(f"did not answer in HTTP ({error})")
            self._excess = True
        if self._size > self._limits.body_bytes:
            return self._too_large(f"answered more than {self._limits.body_bytes} bytes")
        if self._complete:
            return self._take()
        if not self._framed and self._head > self._limits.header_bytes:
            return self._too_large(f"sent more than {self._limits.header_bytes} bytes of headers")
        return None

    def end(self, error: Exception | None) -> Answer | CallFailed:
        """Return what came of the call now that the connection is gone.

        RFC 9112, section 6.3: an answer without a length ends with its connection.
        """
        if error is None and self._framed and not self._measured:
            return self._take()
        where = "in the middle of its answer" if self._head else "before it answered"
        how = f" ({error})" if error else ""
        text = f'"{self._name}" closed the connection {where}{how}; see its log'
        return CallFailed("ConnectionLost", text, sent=True)

    # -- llhttp's callbacks ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Take note of an answer that begins where one has ended."""
        self._excess = self._excess or self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take note of what matters of a head."""
        if self._framed:
            return  # a trailer, or another answer's
        name = name.lower()
        if name == b"content-type":
            self._content_type = value.strip()
        elif name in _MEASURES:
            self._measured = True
        elif name == b"content-encoding":
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        """Know the status; what follows is the body."""
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._framed = True

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body, up to the limit."""
        if self._complete:
            return
        self._size += len(piece)
        if self._size <= self._limits.body_bytes:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Know that it is whole; an interim answer (1xx) is followed by another."""
        if self._complete:
            return
        if self._status < 200:
            self._reset()
            return
        self._complete = True
        self.reusable = self._parser.should_keep_alive()

    # -- ends --------------------------------------------------------------------------------

    def _take(self) -> Answer | CallFailed:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        answer = Answer(self._status, body, self._content_type)
        encoding, reusable = self._encoding, self.reusable and not self._excess
        self._reset()
        self.reusable = reusable
        if encoding not in _PLAIN:
            coding = encoding.decode("latin-1")
            return self._invalid(f'answered in content-encoding "{coding}", unasked; send it plain')
        return answer

    def _invalid(self, what: str) -> CallFailed:
        self.reusable = False
        return CallFailed("InvalidAnswer", f'"{self._name}" {what}', sent=True)

    def _too_large(self, what: str) -> CallFailed:
        self.reusable = False
        return CallFailed("AnswerTooLarge", f'"{self._name}" {what}; let it answer less', sent=True)

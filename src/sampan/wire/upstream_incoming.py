"""An answer as it comes in, read by llhttp (RFC 9112): bytes in, an answer or its failure out.

Pure. An answer is taken whole. What follows it unasked is never taken for the next call's answer:
`reusable` is false then, and the connection ends.

A server repeats its heads but for date and length. A head that llhttp has read is known again where
it is the same byte for byte and exactly its body follows; anything else goes through llhttp, so
that there is one judge of what is sound (as for requests: `known_head`).
"""

from __future__ import annotations

from typing import TypeAlias

import httptools

from sampan.wire.pieces import Pieces, keep_piece
from sampan.wire.upstream_answer import Answer, CallFailed, UpstreamLimits

_Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]
_MEASURES = frozenset({b"content-length", b"transfer-encoding"})
_PLAIN = frozenset({b"", b"identity"})
_MOST_KNOWN = 32  # heads of a connection; a date makes new ones each second
_MOST_BYTES = 1024  # of a head that is remembered


class Incoming:
    """The reading side of one connection. `name` is the server's, for messages."""

    def __init__(self, name: str, limits: UpstreamLimits) -> None:
        self._name = name
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._known: dict[bytes, tuple[int, int, bytes, _Fields]] = {}  # its body's length first
        self._idle = True
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._content_type = b""
        self._encoding = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: Pieces = []
        self._size = 0
        self._head = 0  # bytes given to llhttp before the head was complete
        self._framed = False  # the head is complete
        self._measured = False  # the head says how long the body is
        self._complete = False
        self._excess = False  # more came than the answer
        self.reusable = False

    def feed(self, data: bytes) -> Answer | CallFailed | None:
        """Take bytes; return what came of the call, None while it is not known yet."""
        end = data.find(b"\r\n\r\n", 0, _MOST_BYTES) + 4 if self._idle else 3
        if end > 3:
            known = self._known.get(data[:end])
            if known is not None and len(data) == end + known[0]:
                self.reusable = True
                return Answer(known[1], data[end:], known[2], None, known[3])
        result = self._parse(data)
        if end > 3 and isinstance(result, Answer) and self.reusable:
            self._learn(data[:end], len(data) - end, result)
        self._idle = result is not None
        return result

    def _learn(self, head: bytes, length: int, answer: Answer) -> None:
        """Remember a head whose answer was there whole, with its length and nothing after it."""
        if length != len(answer.body) or b"content-length: %d\r\n" % length not in head.lower():
            return  # chunked, or of a status that has no body
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[head] = (length, answer.status, answer.content_type, answer.fields)

    def _parse(self, data: bytes) -> Answer | CallFailed | None:
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

    def head(self) -> Answer | None:
        """Return what is known of an answer whose body is still to come, None before its head."""
        if not self._framed or self._encoding not in _PLAIN:
            return None
        return Answer(self._status, b"", self._content_type, fields=tuple(self._fields))

    def take(self) -> bytes:
        """Return what has come of the body since the last time; it is not kept."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return b"".join(pieces)

    def end(self, error: Exception | None) -> Answer | CallFailed:
        """Return what came of the call now that the connection is gone.

        RFC 9112, section 6.3: an answer without a length ends with its connection.
        """
        if error is None and self._framed and not self._measured:
            return self._take()
        where = "in the middle of its answer" if self._head else "before it answered"
        self.close()
        how = f" ({error})" if error else ""
        text = f'"{self._name}" closed the connection {where}{how}; see its log'
        return CallFailed("ConnectionLost", text, sent=True)

    def close(self) -> None:
        """Be of no more use, and hold no body: llhttp and this hold each other, so they go late."""
        self.reusable = False
        self._pieces = []

    # -- llhttp's callbacks ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Take note of an answer that begins where one has ended."""
        self._excess = self._excess or self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take note of what matters of a head."""
        if self._framed:
            return  # a trailer, or another answer's
        self._fields.append((name, value))
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
            keep_piece(self._pieces, piece)

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
        body = b"".join(self._pieces)
        answer = Answer(self._status, body, self._content_type, fields=tuple(self._fields))
        encoding, reusable = self._encoding, self.reusable and not self._excess
        self._reset()
        self.reusable = reusable
        if encoding not in _PLAIN:
            coding = encoding.decode("latin-1")
            return self._invalid(f'answered in content-encoding "{coding}", unasked; send it plain')
        return answer

    def _invalid(self, what: str) -> CallFailed:
        self.close()
        return CallFailed("InvalidAnswer", f'"{self._name}" {what}', sent=True)

    def _too_large(self, what: str) -> CallFailed:
        self.close()
        return CallFailed("AnswerTooLarge", f'"{self._name}" {what}; let it answer less', sent=True)

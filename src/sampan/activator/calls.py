"""The gRPC service that Envoy asks, over our own wire: one method, `Check`.

A held request is a call that is not answered yet; Envoy ends the call when its client leaves.
"""

from __future__ import annotations

import logging

from sampan.activator.activator import DEFAULT_TIMEOUT, Activator, Outcome
from sampan.activator.messages import (
    CHECK,
    decode_context,
    decode_header,
    encode_go,
    encode_refusal,
)
from sampan.activator.phases import render_timing
from sampan.gateway.held import TIMEOUT_KEY, TRACE_HEADER, WORKLOAD_KEY
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import framing
from sampan.protocol.grpc.status import RpcError, Status, encode_message, from_http
from sampan.wire.calls import Cancel, Channel, Handler
from sampan.wire.limits import Limits
from sampan.wire.message import Reply, Request, Response

_LOG = logging.getLogger(__name__)
_CONTENT_TYPE = b"application/grpc"
_OK = ((b"grpc-status", b"0"),)

LIMITS = Limits(
    # One stream a held request, from the few connections of one Envoy; a thousand clients that
    # leave at once are a thousand resets, and no attack.
    streams=20_000,
    resets=40_000,
    nuisances=100_000,
    message_bytes=1024 * 1024,
)
"""What Envoy, the only peer, may ask of a connection."""


class CheckCalls:
    """The `Calls` of the activator's wire."""

    streaming: frozenset[bytes] = frozenset()

    def __init__(self, activator: Activator) -> None:
        self._activator = activator

    def submit(self, request: Request, reply: Reply) -> Cancel | None:
        """Hold the request that Envoy asks about, and answer when it may go."""
        try:
            message = self._message(request)
            context = decode_context(message)
            workload = context[WORKLOAD_KEY]
            caller = decode_header(message, TRACE_HEADER)
            timeout = float(context.get(TIMEOUT_KEY) or DEFAULT_TIMEOUT)
        except (RpcError, InvalidInput, KeyError, ValueError) as error:
            _LOG.warning("Envoy asks what the activator does not understand: %r", error)
            reply(_fail(Status.INVALID_ARGUMENT, f"no held route is named: {error}"))
            return None
        return self._activator.hold(
            workload, lambda outcome: reply(_answer(outcome)), timeout, caller
        )

    def open(self, request: Request, channel: Channel) -> Handler | None:
        """Return None: no method streams."""
        del request, channel
        return None

    def refuse(self, status: int, text: str) -> Response:
        """Return the answer to a call that the wire refuses."""
        return _fail(from_http(status), text)

    @staticmethod
    def _message(request: Request) -> bytes:
        if request.target != CHECK:
            raise RpcError(Status.UNIMPLEMENTED, request.target.decode("latin-1"))
        return framing.unpack_one(request.body, b"", LIMITS.message_bytes)


def _answer(outcome: Outcome) -> Response:
    if outcome.status:
        headers = (("retry-after", str(outcome.again)),) if outcome.status == 503 else ()
        return _say(encode_refusal(outcome.status, outcome.message, headers))
    if not outcome.waited:
        return _GO
    timing = render_timing(outcome.waited, outcome.phases)
    return _say(encode_go([("server-timing", timing)]))


def _say(message: bytes) -> Response:
    return Response(200, framing.pack(message), _CONTENT_TYPE, (), _OK)


_GO = _say(encode_go())
"""What a request gets that need not wait: the same each time."""


def _fail(status: Status, text: str) -> Response:
    trailers = ((b"grpc-status", b"%d" % status), (b"grpc-message", encode_message(text)))
    return Response(200, b"", _CONTENT_TYPE, trailers)

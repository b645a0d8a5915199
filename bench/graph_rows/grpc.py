"""The Sequence of three by gRPC V2 at the front and behind, over the same by REST."""

from __future__ import annotations

from collections.abc import Iterator

from bench.graph_rows.sides import ASK, start_backend, start_router
from bench.h2load import run_h2load
from bench.iris import V2
from bench.row import Goal, Row, make_row
from bench.server_rows.grpc import METHOD, make_message
from bench.server_rows.rounds import CONNECTIONS, LOAD_SECONDS, measure_round
from bench.setting import Setting

_LEAST = 20  # bytes of the constant answer; an error has no message


def sequence(setting: Setting) -> Iterator[Row]:
    """Sequences a second, 16 at a time: 4 connections of 4 streams, and 16 connections."""
    message = make_message()
    with start_backend(setting, "graph-grpc-backend") as backend:
        by_rest = [{"serviceUrl": f"{backend.http}/{n}"} for n in range(3)]
        by_grpc = [{"serviceUrl": f"{backend.http.replace('http', 'grpc')}/m"} for _ in range(3)]
        with (
            start_router(setting, "Sequence", by_rest) as rest,
            start_router(setting, "Sequence", by_grpc, V2.body) as router,
        ):
            rates = setting.alternate(
                lambda: run_h2load(f"{router.http}{METHOD}", message, LOAD_SECONDS, _LEAST),
                lambda: measure_round(rest, ASK, CONNECTIONS).load.rate,
            )
    name = "Sequence of 3 by gRPC V2, 4 x 4 streams, against REST"
    yield make_row(name, "sequences/s", *rates, Goal(ratio=0.5), peer_is="the same by REST")

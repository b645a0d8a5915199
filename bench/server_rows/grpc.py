"""The iris classifier over gRPC V2: unary calls, 4 connections of 4 streams."""

from __future__ import annotations

from collections.abc import Iterator

from bench.h2load import run_h2load
from bench.peers import PEER_NAME
from bench.row import Goal, Row, make_row
from bench.server_rows.rest import MLSERVER_NAME, mlserver_note
from bench.server_rows.rounds import LOAD_SECONDS
from bench.servers import Command, Up, kserve_iris, mlserver_iris, ours_iris, serving
from bench.setting import Setting

from bench import iris

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def kserve(setting: Setting) -> Iterator[Row]:
    """Against KServe."""
    yield _row("gRPC V2, 4 x 4 streams", setting, kserve_iris(setting), PEER_NAME)


def mlserver(setting: Setting) -> Iterator[Row]:
    """Against MLServer."""
    name = "gRPC V2, 4 x 4 streams, against mlserver"
    yield _row(name, setting, mlserver_iris(setting), MLSERVER_NAME)


def _row(name: str, setting: Setting, peer: Command, peer_is: str) -> Row:
    message = make_message()
    with serving(setting, iris.V2, ours_iris(setting), peer) as sides:
        note = mlserver_note(sides[1]) if peer_is == MLSERVER_NAME else ""
        sizes = [_first_answer(side, message) for side in sides]

        def rate(side: int) -> float:
            url = f"http://{sides[side].grpc}{METHOD}"
            return run_h2load(url, message, LOAD_SECONDS, sizes[side])

        rates = setting.alternate(lambda: rate(0), lambda: rate(1))
    return make_row(name, "calls/s", *rates, Goal(ratio=10), peer_is=peer_is, note=note)


def make_message() -> bytes:
    """Return the two rows as a `ModelInferRequest`, contents typed, as KServe's clients send it."""
    from tritonclient.grpc import service_pb2 as wire

    tensor = wire.ModelInferRequest.InferInputTensor(name="input-0", datatype="FP64", shape=[2, 4])
    tensor.contents.fp64_contents.extend([*iris.ROWS[0], *iris.ROWS[1]])
    request = wire.ModelInferRequest(model_name="iris", inputs=[tensor])
    return bytes(request.SerializeToString())


def _first_answer(side: Up, message: bytes) -> int:
    """Ask once by grpcio; return the least size of a right answer, RuntimeError for a wrong one."""
    import grpc
    from tritonclient.grpc import service_pb2 as wire

    with grpc.insecure_channel(side.grpc) as channel:
        call = channel.unary_unary(METHOD)
        answer: bytes = call(message, timeout=30, wait_for_ready=True)
    response = wire.ModelInferResponse.FromString(answer)
    contents = response.outputs[0].contents
    data = [*contents.int64_contents, *contents.int_contents]
    if data != iris.ANSWER["predictions"]:
        raise RuntimeError(f"wrong prediction {answer!r}; expected the contents [1, 1]")
    return len(answer) // 2  # ids differ in length from call to call, and an error has no message

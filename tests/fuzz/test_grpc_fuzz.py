"""Malformed calls, thousands of them: never INTERNAL, no hang, no growth, and the next is right.

Three depths are mutated: the protobuf message in sound framing, gRPC's framing in sound HTTP/2, and
the bytes of HTTP/2 themselves. What Hypothesis makes is sound protobuf of any content.
"""

from __future__ import annotations

import gzip
import struct
from random import Random

import numpy as np
import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.fuzz_grpc_peer import (
    CALLS_AT_ONCE,
    END_HEADERS,
    HEADERS,
    SERVICE,
    SETTINGS,
    WINDOW_UPDATE,
    GrpcPeer,
    Told,
    call,
    frame,
    opening,
    pack,
    throw,
)
from tests.fuzz.fuzz_mutation import mutate_bytes
from tests.fuzz.fuzz_run import FUZZ, INPUTS, SEED, steady
from tritonclient.grpc import service_pb2 as pb

UNKNOWN, INTERNAL = 2, 13
FAULTS = (UNKNOWN, INTERNAL)  # the server's own
OURS = "Internal server error"  # what nobody foresaw; INTERNAL alone may be gRPC's own framing rule
Sent = tuple[str, bytes, tuple[tuple[str, str], ...]]


def make_corpus() -> tuple[bytes, ...]:
    """Return sound requests: typed, raw, strings, parameters, requested outputs, nothing."""
    row = np.array([[6.8, 2.8, 4.8, 1.4]], np.float32)
    typed = pb.ModelInferRequest(model_name="iris", id="7")
    typed.inputs.add(name="x", datatype="FP32", shape=row.shape).contents.fp32_contents.extend(
        row.ravel().tolist()
    )
    raw = pb.ModelInferRequest(model_name="iris", raw_input_contents=[row.tobytes()])
    raw.inputs.add(name="x", datatype="FP32", shape=row.shape)
    text = pb.ModelInferRequest(model_name="echo", model_version="2")
    text.inputs.add(name="t", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(
        [b"a", b"\xff"]
    )
    whole = pb.ModelInferRequest(model_name="echo", id="é")
    whole.inputs.add(name="n", datatype="INT64", shape=[40]).contents.int64_contents.extend(
        range(-20, 20)
    )
    whole.inputs.add(name="b", datatype="BOOL", shape=[2]).contents.bool_contents.extend([1, 0])
    whole.parameters["p"].double_param = 0.5
    whole.outputs.add(name="n").parameters["binary_data"].bool_param = True
    half = pb.ModelInferRequest(model_name="echo", raw_input_contents=[b"\0\0\0\0"])
    half.inputs.add(name="h", datatype="FP16", shape=[2])
    messages = (typed, raw, text, whole, half, pb.ModelInferRequest())
    return tuple(bytes(message.SerializeToString()) for message in messages)


CORPUS = make_corpus()
SMALL = tuple(
    SERVICE + name
    for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata",
                 "RepositoryIndex", "Nothing")
)  # fmt: skip
INFER, STREAM = SERVICE + "ModelInfer", SERVICE + "ModelStreamInfer"
BOMB = pack(gzip.compress(bytes(20_000_000)), 1)
LENGTHS = (0, 1, 4, 5, 127, 128, 2**23, 2**23 + 1, 2**31, 2**32 - 1)


def message(random: Random) -> Sent:
    """Return a mutated request."""
    return INFER, pack(mutate_bytes(random, random.choice(CORPUS), CORPUS)), ()


def small(random: Random) -> Sent:
    """Return a call of a small method with any message."""
    path = random.choice((*SMALL, "/grpc.health.v1.Health/Check"))
    return path, pack(mutate_bytes(random, b"\x0a\x04iris\x12\x011", CORPUS)), ()


def stream(random: Random) -> Sent:
    """Return a streaming call of several messages, some of them mutated."""
    several = [random.choice(CORPUS) for _ in range(random.randint(0, 4))]
    body = b"".join(
        pack(mutate_bytes(random, one, CORPUS) if random.random() < 0.5 else one) for one in several
    )
    return STREAM, body, ()


def framing(random: Random) -> Sent:
    """Return a call whose framing lies: flags, lengths, compression, several messages."""
    sound = random.choice(CORPUS)
    body = random.choice(
        (
            b"",
            pack(sound)[: random.randint(0, len(sound) + 5)],
            pack(sound) * 2,
            struct.pack(">BI", random.choice((0, 1, 2, 255)), random.choice(LENGTHS)) + sound,
            pack(gzip.compress(sound), 1),
            pack(mutate_bytes(random, gzip.compress(sound)), 1),
            BOMB,
            mutate_bytes(random, pack(sound), CORPUS),
        )
    )
    metadata = []
    if random.random() < 0.6:
        metadata.append(
            ("grpc-encoding", random.choice(("gzip", "identity", "deflate", "", "x" * 99)))
        )
    if random.random() < 0.2:
        metadata.append(
            ("grpc-timeout", random.choice(("1H", "99999999H", "0n", "", "-1S", "1.5S", "é", "S")))
        )
    return random.choice((INFER, INFER, STREAM)), body, tuple(metadata)


KINDS = {message: 0.4, small: 0.1, stream: 0.1, framing: 0.1}
"""The share of all inputs that each has; HTTP/2's bytes and Hypothesis have the rest."""
HTTP2 = 0.2
HYPOTHESIS = 0.05


def validate(told: Told, sent: object) -> None:
    """Check that a status is nobody's fault but the client's."""
    status, text = told
    words = f"{told} for {sent!r}"[:3000]
    assert text != OURS, words
    framed = isinstance(sent, tuple) and (sent[2] or sent[1][:1] != b"\0")
    flagged = status == INTERNAL and "is flagged" in text  # of any message: gRPC's own rule
    assert status not in FAULTS or framed or flagged, words


@pytest.mark.timeout(900)
@pytest.mark.parametrize("make", list(KINDS), ids=lambda make: make.__name__)
def test_a_malformed_call_is_the_clients_fault(target, make):
    random = Random(f"{SEED} grpc {make.__name__}")
    rounds = max(1, int(INPUTS * KINDS[make]) // CALLS_AT_ONCE)
    with GrpcPeer(target.port) as peer, steady(target, rounds) as numbers:
        for _ in numbers:
            sent = [make(random) for _ in range(CALLS_AT_ONCE)]
            for one, told in zip(sent, peer.ask(sent), strict=True):
                validate(told, one)


def make_connection(random: Random) -> list[bytes]:
    """Return the frames of a sound connection with a few calls."""
    encoder = Encoder()
    frames = [opening()]
    for number in range(random.randint(1, 4)):
        path = random.choice((INFER, INFER, STREAM, *SMALL))
        frames.append(call(encoder, 2 * number + 1, path, pack(random.choice(CORPUS))))
    return frames


def odd_frame(random: Random) -> bytes:
    """Return a frame that is seldom met, or none at all."""
    kind = random.choice((*range(11), 255))
    payload = random.choice(
        (
            b"", b"\0" * 4, b"\xff" * 4, b"\0" * 8, random.randbytes(random.randint(0, 40)),
            struct.pack(">HI", random.randint(0, 8), random.choice((0, 1, 2**31 - 1, 2**32 - 1))),
        )
    )  # fmt: skip
    stream = random.choice((0, 1, 2, 3, 5, 2**31 - 1, 2**31, 2**32 - 1))
    return frame(kind, random.choice((0, 1, 4, 5, 8, 0x20, 0x2D, 255)), stream, payload)


def mutate_connection(random: Random) -> bytes:
    """Return the bytes of a connection with accidents among its frames or within them."""
    frames = make_connection(random)
    for _ in range(random.randint(1, 4)):
        at = random.randint(1, len(frames))
        action = random.randrange(5)
        if action <= 1:
            frames.insert(at, odd_frame(random))
        elif action == 2:
            frames.insert(at, frame(HEADERS, END_HEADERS, 2 * at + 1, random.randbytes(12)))
        elif action == 3:
            frames.insert(at, odd_frame(random) * random.choice((2, 50, 1500)))
        else:
            frames[-1] = mutate_bytes(random, frames[-1], CORPUS)
    if random.random() < 0.1:
        return mutate_bytes(random, b"".join(frames), CORPUS)
    return b"".join(frames)


@pytest.mark.timeout(900)
def test_mutated_http2_is_answered_or_closed(target):
    random = Random(f"{SEED} http2")
    with steady(target, max(5, int(INPUTS * HTTP2))) as numbers:
        for _ in numbers:
            sent = mutate_connection(random)
            for told in throw(target.port, sent):
                assert told[1] != OURS, (told, sent[:2000])


def test_floods_of_frames_end_the_connection_and_nothing_else(target):
    for kind, payload in ((SETTINGS, b""), (6, b"\0" * 8), (WINDOW_UPDATE, b"\0\0\0\1")):
        throw(target.port, opening() + frame(kind, 0, 0, payload) * 20_000)
    resets = b"".join(
        call(Encoder(), 2 * n + 1, INFER, pack(CORPUS[0])) + frame(3, 0, 2 * n + 1, b"\0\0\0\x08")
        for n in range(2000)
    )
    throw(target.port, opening() + resets)
    with GrpcPeer(target.port) as peer:
        assert peer.ask([(INFER, pack(CORPUS[0]), ())]) == [(0, "")]


NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9)
FLOATS = st.lists(st.floats(width=32), max_size=9)
CONTENTS = st.one_of(
    st.just({}),
    st.builds(lambda v: {"fp32_contents": v}, FLOATS),
    st.builds(lambda v: {"int_contents": v}, NUMBERS),
    st.builds(lambda v: {"int64_contents": v}, NUMBERS),
    st.builds(lambda v: {"bool_contents": v}, st.lists(st.booleans(), max_size=9)),
    st.builds(lambda v: {"bytes_contents": v}, st.lists(st.binary(max_size=5), max_size=9)),
    st.builds(lambda v: {"uint_contents": [1], "fp64_contents": v}, FLOATS),
)
DATATYPES = st.sampled_from(
    ["BOOL", "INT8", "INT32", "INT64", "UINT8", "FP16", "BF16", "FP32", "FP64", "BYTES", "", "x"]
)
TENSORS = st.tuples(
    st.text(max_size=3),
    DATATYPES,
    st.lists(st.integers(-2, 4) | st.just(2**62), max_size=4),
    CONTENTS,
)


@settings(FUZZ, max_examples=max(50, int(INPUTS * HYPOTHESIS)))
@given(
    st.sampled_from(["iris", "echo", "none", ""]),
    st.lists(TENSORS, max_size=3),
    st.lists(st.binary(max_size=40), max_size=3),
    st.lists(st.text(max_size=3), max_size=2),
)
def test_a_request_of_any_content_is_the_clients_fault(target, model, tensors, raws, outputs):
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=raws)
    for name, datatype, shape, contents in tensors:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        for field, values in contents.items():
            getattr(tensor.contents, field).extend(values)
    for name in outputs:
        request.outputs.add(name=name)
    sent = (INFER, pack(bytes(request.SerializeToString())), ())
    with GrpcPeer(target.port) as peer:
        validate(peer.ask([sent])[0], sent)

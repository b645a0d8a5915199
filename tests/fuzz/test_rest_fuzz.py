"""Malformed requests, thousands of them: no 5xx, no hang, no growth, and the next answer is right.

What is mutated comes from valid requests of each protocol, by a seeded Random, fast enough for
100,000 inputs in minutes; what Hypothesis makes is slower to come by and shrinks when it fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.fuzz_corpus import (
    BINARIES,
    BINARY,
    EVENT,
    EVENT_HEAD,
    EVENTS,
    GENERATE,
    JSON,
    MESSAGES,
    PATHS,
    PATHS_V2,
    V1,
    V2,
)
from tests.fuzz.fuzz_mutation import JUNK, mutate_bytes, mutate_json
from tests.fuzz.fuzz_peer import Answer, Peer, throw
from tests.fuzz.fuzz_run import FUZZ, INPUTS, SEED, steady

Sent = tuple[str, list[tuple[str, bytes]], bytes]
LENGTH = "Inference-Header-Content-Length"


def v1(random: Random) -> Sent:
    return random.choice(PATHS), [JSON], mutate_json(random, random.choice(V1))


def v2(random: Random) -> Sent:
    return random.choice(PATHS_V2), [JSON], mutate_json(random, random.choice(V2))


def generate(random: Random) -> Sent:
    path = random.choice(("/v2/models/iris/generate", "/v2/models/echo/generate"))
    return path, [JSON], mutate_json(random, random.choice(GENERATE))


def any_bytes(random: Random) -> Sent:
    kind = random.choice(
        (JSON, BINARY, EVENT, ("Content-Type", random.randbytes(3).hex().encode()))
    )
    body = mutate_bytes(random, json.dumps(random.choice((*V1, *V2))).encode())
    return random.choice((*PATHS, *PATHS_V2)), [kind], body


def binary(random: Random) -> Sent:
    described, raw = random.choice(BINARIES)
    head = (
        mutate_json(random, described) if random.random() < 0.6 else json.dumps(described).encode()
    )
    if random.random() < 0.6:
        raw = mutate_bytes(random, raw)
    length: Any = len(head)
    if random.random() < 0.4:
        length = random.choice(
            (length + 1, length - 1, 0, -1, 2**63, 10**30, "x", "", "1e3", "0x9")
        )
    headers = [BINARY, (LENGTH, str(length).encode())]
    return random.choice(PATHS_V2), headers[: random.choice((1, 2, 2, 2, 2))], head + raw


def event(random: Random) -> Sent:
    return random.choice(PATHS), [EVENT], mutate_json(random, random.choice(EVENTS))


def binary_event(random: Random) -> Sent:
    headers = [JSON]
    for name, value in EVENT_HEAD.items():
        if random.random() < 0.9:
            junk = str(random.choice(JUNK)).encode("utf-8", "replace").replace(b"\x00", b"")
            headers.append((f"ce-{name}", junk if random.random() < 0.3 else value.encode()))
    return random.choice(PATHS), headers, mutate_json(random, V1[0])


def repository(random: Random) -> Sent:
    name = random.choice(("iris", "echo", "none", "..%2f..%2fetc", "%00", "a" * 300, "%ff"))
    path = random.choice(
        (
            "/v2/repository/index",
            f"/v1/models/{name}:predict",
            f"/v2/models/{name}/infer",
            f"/v2/models/{name}/ready",
            f"/v2/repository/models/x{name}/load",
            f"/v2/repository/models/x{name}/unload",
        )
    )
    return path, [JSON], mutate_json(random, random.choice(({"ready": True}, V1[0], V2[0])))


KINDS: dict[Callable[[Random], Sent], float] = {
    v1: 0.12,
    v2: 0.23,
    generate: 0.04,
    any_bytes: 0.06,
    binary: 0.2,
    event: 0.05,
    binary_event: 0.05,
    repository: 0.05,
}
"""The share of all inputs that each has; framing and Hypothesis have the rest."""
FRAMING = 0.16
NOT_SERVED = (501, 505)
"""A transfer coding or a version that no server here has (RFC 9112, 6.1; RFC 9110, 15.6.6)."""
HYPOTHESIS = 0.04


def validate(answer: Answer, sent: Sent) -> None:
    """Check that an answer is nobody's fault but the client's, and readable."""
    told = f"{answer.status} {answer.body[:300]!r} for {sent[0]} {sent[1]} {sent[2][:1500]!r}"
    unknown = (
        sent[0].endswith("/load") and answer.status == 503
    )  # KServe's answer for no such model
    assert answer.status < 500 or unknown, told
    if answer.status >= 400:
        error = json.loads(answer.body)
        assert error.get("error") or error.get("detail"), told


@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", list(KINDS), ids=lambda make: make.__name__)
def test_a_mutated_body_is_the_clients_fault(target, make):
    random = Random(f"{SEED} {make.__name__}")
    with Peer(target.port) as peer, steady(target, int(INPUTS * KINDS[make])) as numbers:
        for _ in numbers:
            sent = make(random)
            validate(peer.post(*sent), sent)


@pytest.mark.timeout(600)
def test_mutated_http_is_refused_or_closed(target):
    random = Random(f"{SEED} framing")
    with steady(target, int(INPUTS * FRAMING)) as numbers:
        for _ in numbers:
            sent = mutate_bytes(random, random.choice(MESSAGES), MESSAGES)
            statuses = throw(target.port, sent)
            assert all(s < 500 or s in NOT_SERVED for s in statuses), (statuses, sent[:2000])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["data", "shape"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)
TENSORS = st.fixed_dictionaries(
    {"name": VALUES | st.just("x"), "shape": st.lists(st.integers(-2, 5), max_size=3) | VALUES,
     "datatype": st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "FP32", "BYTES", "x"]) | VALUES,
     "data": st.lists(VALUES, max_size=8) | VALUES},
    optional={"parameters": VALUES},
)  # fmt: skip
BODIES = st.one_of(
    st.tuples(st.sampled_from(PATHS), st.fixed_dictionaries({"instances": VALUES}) | VALUES),
    st.tuples(
        st.sampled_from(PATHS_V2),
        st.fixed_dictionaries(
            {"inputs": st.lists(TENSORS, max_size=2) | VALUES},
            optional={"id": VALUES, "parameters": VALUES, "outputs": VALUES},
        ),
    ),
)


@settings(FUZZ, max_examples=max(50, int(INPUTS * HYPOTHESIS)))
@given(BODIES)
def test_json_of_any_shape_is_the_clients_fault(target, drawn):
    path, value = drawn
    sent = (path, [JSON], json.dumps(value).encode())
    with Peer(target.port) as peer:
        validate(peer.post(*sent), sent)

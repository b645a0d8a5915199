"""Valid inputs made invalid: bytes, JSON trees, and HTTP/1.1 messages. Pure, by a given Random."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any, TypeAlias

Json: TypeAlias = Any

JUNK: tuple[Json, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**40, 0.5, -0.0, 1e308,
    float("inf"), float("nan"), "", "a", "\x00", "\ud800", "é" * 50, "1", "NaN", [], {}, [[]], [{}],
    [None], ["a"], [1, "a"], [[1], [1, 2]], {"": None}, {"data": 1}, "x" * 3000, [0] * 2000,
)  # fmt: skip
WORDS = (
    "instances", "inputs", "outputs", "id", "parameters", "name", "shape", "datatype", "data",
    "binary_data_size", "binary_data_output", "binary_data", "content_type", "specversion", "type",
    "source", "time", "data_base64", "datacontenttype", "BOOL", "INT8", "INT64", "UINT64", "FP16",
    "BF16", "FP32", "FP64", "BYTES", "output-0", "pd",
)  # fmt: skip
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00", b" ", b"\t", b":", b";", b",", b"\x80\xff", b"0",
    b"-1", b"+5", b"99999999999999999999", b"ffffffffffffffff", b"0x10", b"1e3", b"chunked",
    b"identity", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding:\tchunked\r\n", b" folded\r\n",
    b"Expect: 100-continue\r\n", b"Expect: 200-ok\r\n", b"Upgrade: h2c\r\n", b"Host: b\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Connection: keep-alive, te\r\n",
    b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"GET ",
    b"TRACE ", b"*", b"//", b"/../", b"%2e%2e%2f", b"%", b"%zz", b"?", b"#", b"http://x/", b"{",
    b"[" * 3000, b'"', b"0\r\n\r\n", b"5\r\nabcde\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"X: " + b"y" * 70_000 + b"\r\n", b"A: b\r\n" * 140,
)  # fmt: skip


def mutate_bytes(random: Random, data: bytes, others: tuple[bytes, ...] = ()) -> bytes:
    """Return the data with one to four accidents."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_ACCIDENTS)(random, data, others)
    return data


def _cut(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    del others
    return data[: random.randint(0, len(data))]


def _drop(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    del others
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 12) :]


def _insert(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    del others
    at = random.randint(0, len(data))
    return data[:at] + random.choice(TOKENS) + data[at:]


def _overwrite(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    del others
    at = random.randint(0, len(data))
    put = random.randbytes(random.randint(1, 4))
    return data[:at] + put + data[at + len(put) :]


def _repeat(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    del others
    at = random.randint(0, len(data))
    piece = data[at : at + random.randint(1, 60)]
    return data[:at] + piece * random.randint(2, 4) + data[at + len(piece) :]


def _splice(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    other = random.choice(others) if others else data
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


_ACCIDENTS = (_cut, _drop, _insert, _insert, _overwrite, _overwrite, _repeat, _splice)


def mutate_json(random: Random, value: Json) -> bytes:
    """Return JSON, or nearly, of a tree with one to three nodes replaced, dropped or renamed."""
    tree = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        tree = _mutate_tree(random, tree)
    text = json.dumps(tree).encode()
    return mutate_bytes(random, text) if random.random() < 0.15 else text


def _mutate_tree(random: Random, tree: Json) -> Json:
    places = _places(tree)
    if not places or random.random() < 0.03:
        return random.choice(JUNK)
    holder, key = random.choice(places)
    action = random.randrange(6)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice(WORDS)] = holder.pop(key)
    elif action == 2:
        holder[key] = [holder[key]]
    elif action == 3:
        holder[key] = random.choice(WORDS)
    else:
        holder[key] = copy.deepcopy(random.choice(JUNK))
    return tree


def _places(tree: Json) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            found += [(node, key) for key in node]
            waiting += node.values()
        elif isinstance(node, list) and len(node) < 100:
            found += [(node, index) for index in range(len(node))]
            waiting += node
    return found

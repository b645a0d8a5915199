"""Bodies: JSON, YAML and the protobuf of kubectl, read or refused with what is wrong."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.body import decode_object, duplicate_fields
from sampan.machinery.errors import ApiError, BadRequest, UnsupportedMediaType

PROTOBUF = "application/vnd.kubernetes.protobuf"
TEXT = st.text(max_size=20)


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def part(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def entry(number: int, key: str, value: bytes | str) -> bytes:
    return part(number, part(1, key) + part(2, value))


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + part(1, part(1, api_version) + part(2, kind)) + part(2, raw)


@given(TEXT, st.dictionaries(TEXT, TEXT), st.dictionaries(TEXT, st.binary()), st.booleans())
def test_a_config_map_in_protobuf_is_what_was_encoded(name, data, binary, immutable):
    meta = part(1, name) + part(2, "") + part(8, b"") + entry(11, "app", name)
    raw = part(1, meta) + b"".join(entry(2, k, v) for k, v in data.items())
    raw += b"".join(entry(3, k, v) for k, v in binary.items()) + part(4, int(immutable))
    obj = decode_object(PROTOBUF, envelope("v1", "ConfigMap", raw))
    assert obj["metadata"] == ({"name": name} if name else {}) | {"labels": {"app": name}}
    assert obj.get("data", {}) == data
    assert obj.get("binaryData", {}) == {k: base64.b64encode(v).decode() for k, v in binary.items()}
    assert obj["immutable"] is immutable


def test_times_and_numbers_are_read():
    meta = part(7, 3) + part(8, part(1, 1769860800)) + part(10, 2**64 - 1)
    obj = decode_object(PROTOBUF, envelope("v1", "Namespace", part(1, meta)))
    assert obj["metadata"] == {
        "generation": 3,
        "creationTimestamp": "2026-01-31T12:00:00Z",
        "deletionGracePeriodSeconds": -1,
    }


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (envelope("v1", "Pod", b""), UnsupportedMediaType, '"Pod" of "v1"'),
        (envelope("v1", "ConfigMap", part(99, "x")), BadRequest, "field 99 is not known"),
        (envelope("v1", "ConfigMap", part(1, 5)), BadRequest, '"metadata" has wire type 0'),
        (envelope("v1", "ConfigMap", b"\x0a\xff"), BadRequest, "not Kubernetes protobuf"),
        (b"{}", BadRequest, "does not begin with"),
    ],
    ids=["another kind", "an unknown field", "a wrong type", "cut off", "JSON"],
)
def test_protobuf_that_cannot_be_read_is_refused(body, error, text):
    with pytest.raises(error, match=text):
        decode_object(PROTOBUF, body)


@given(st.binary() | st.binary().map(lambda raw: envelope("v1", "Secret", raw)))
def test_any_bytes_are_read_or_refused(body):
    for kind in (PROTOBUF, "application/json", "application/yaml"):
        try:
            assert isinstance(decode_object(kind, body), dict)
        except ApiError as error:
            assert error.code in (400, 415)  # noqa: PT017 - both are answers, nothing else is


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/yaml", b"a: [", "not YAML"),
        ("application/yaml", b"a: 1\n---\nb: 2\n", "2 YAML documents"),
        ("application/yaml", b"a: 1\na: 2\n", "a"),
        ("application/yaml", b"\xff", "UTF-8"),
        ("application/json", b'{"a":', "not JSON"),
        ("application/json", b'"text"', "holds a string"),
        ("application/json", b"null", "holds null"),
    ],
)
def test_what_is_wrong_is_told(kind, body, text):
    with pytest.raises(BadRequest, match=text):
        decode_object(kind, body)


def test_an_empty_body_is_an_empty_object():
    assert decode_object("", b" ") == {}


def test_yaml_bombs_are_refused_quickly():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(BadRequest):
        decode_object("application/yaml", "\n".join(lines).encode())


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a":1,"b":{"a":2}}', []),
        (b'{"a":1,"a":2,"a":3}', ["a"]),
        (b'{"x":[{"b":1,"b":1}],"x":1}', ["b", "x"]),
        (b"not json", []),
    ],
)
def test_keys_written_twice_are_found(body, found):
    assert duplicate_fields(body) == found

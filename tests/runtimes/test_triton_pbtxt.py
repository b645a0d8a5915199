"""`config.pbtxt` is read as Protocol Buffers' own parser reads it; mistakes have their line."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.triton.documents import encode, from_json, with_defaults
from sampan.runtimes.triton.pbtxt import PbtxtError, parse
from sampan.runtimes.triton.schema import ENUMS, MESSAGES, ROOT, WHOLE

TEXTS = [
    pytest.param('name: "a" max_batch_size: 8', id="fields on one line"),
    pytest.param("platform: 'p\\n\\x41' \"q\" # comment", id="escapes, two quotes, pieces"),
    pytest.param('input { name: "x" dims: [1, -1] dims: 3 }', id="a list and its longer form"),
    pytest.param('input: [{ name: "x" }, < name: "y" >]', id="a list of messages"),
    pytest.param("max_batch_size: 0x10; version_policy { all {} },", id="hex, semicolon, comma"),
    pytest.param('parameters { key: "k" value { string_value: "v" } }', id="a map of messages"),
    pytest.param('metric_tags: { key: "k", value: "v" }', id="a map of texts"),
    pytest.param("instance_group [{ kind: KIND_GPU count: 2 gpus: [0, 1] }]", id="an enum"),
    pytest.param("dynamic_batching { }", id="an empty message"),
    pytest.param("dynamic_batching { preserve_ordering: t }", id="a short truth value"),
    pytest.param('ensemble_scheduling { step [{ model_name: "m" model_version: -1 input_map { '
                 'key: "a" value: "b" } }] }', id="an ensemble's step"),
    pytest.param("sequence_batching { control_input { control { fp32_false_true: [0, 1.5e0f] } } }",
                 id="floats"),
]  # fmt: skip


def oracle(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_read_is_what_protobuf_reads(text):
    mine = model_config_pb2.ModelConfig.FromString(encode(ROOT, parse(text, ROOT)))
    assert mine == oracle(text)


def scalars(kind: str) -> Any:
    if kind in WHOLE:
        return st.integers(0, 2**31 - 1)
    if kind in ENUMS:
        return st.sampled_from(ENUMS[kind])
    floats = st.floats(-(2**20), 2**20, width=32)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    return {"bool": st.booleans(), "float": floats, "double": floats}.get(kind, texts)


@st.composite
def documents(draw: Any, message: str = ROOT, depth: int = 3) -> dict[str, Any]:
    made: dict[str, Any] = {}
    chosen = draw(st.lists(st.sampled_from(sorted(MESSAGES[message])), max_size=4, unique=True))
    taken: set[str] = set()
    for name in chosen if MESSAGES[message] else ():
        field = MESSAGES[message][name]
        if name in ONE_OF and taken & ONE_OF:
            continue
        taken.add(name)
        if field.kind in MESSAGES and (not depth or not MESSAGES[field.kind]):
            continue
        value = documents(field.kind, depth - 1) if field.kind in MESSAGES else scalars(field.kind)
        if field.mapped:
            made[name] = draw(st.dictionaries(st.text("abc", min_size=1), value, max_size=2))
        else:
            made[name] = draw(st.lists(value, max_size=2) if field.repeated else value)
    return made


ONE_OF = {
    "dynamic_batching", "sequence_batching", "ensemble_scheduling", "latest", "all", "specific",
    "direct", "oldest", "zero_data", "random_data", "input_data_file", "data_file",
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(documents())
def test_any_configuration_survives_protobufs_text_and_json(document):
    message = model_config_pb2.ModelConfig.FromString(encode(ROOT, document))
    read = parse(text_format.MessageToString(message), ROOT)
    assert model_config_pb2.ModelConfig.FromString(encode(ROOT, read)) == message
    if "priority_queue_policy" not in str(document):  # a map by number: JSON has it as an object
        decoded = json_format.MessageToDict(message, preserving_proto_field_name=True)
        again = encode(ROOT, from_json(ROOT, decoded))
        assert model_config_pb2.ModelConfig.FromString(again) == message


def test_the_tables_have_every_field_of_tritons_messages():
    def names(descriptor: Any) -> set[str]:
        return {f"{field.name}:{field.number}" for field in descriptor.fields}

    for name, descriptor in model_config_pb2.DESCRIPTOR.message_types_by_name.items():
        mine = {f"{f.name}:{f.number}" for f in MESSAGES.get(name, {}).values()}
        assert mine == names(descriptor), name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_sise: 8", 'line 1: "max_batch_sise" is no field of ModelConfig; did you mean'),
        ('name: "a"\nname: "b"', 'line 2: "name" is given twice'),
        ('max_batch_size: "8"', '"max_batch_size" is "8"; give a int32'),
        ("max_batch_size: 99999999999", "give a number from -2147483648 to 2147483647"),
        ("input [ { data_type: TYPE_FLOAT } ]", "is TYPE_FLOAT; give one of TYPE_INVALID"),
        ("input {", 'the text ends where "}" is missing'),
        ("input [ {} {} ]", '"," or "]" is missing in "input", at "{"'),
        ("input: 3", '"input" is a message; write input { ... }'),
        ("max_batch_size [1]", "is one value, not a list"),
        ('name "a"', '":" is missing after "name"'),
        ("name: @", 'line 1: "@" has no meaning'),
        ("name: ", '"name" is nothing; give a string'),
        ('parameters { k: "v" }', 'an entry of "parameters" has key and value, not "k"'),
        ("x" * 9, "is no field of ModelConfig; remove it"),
        ('name: "\\xff"', "is no text"),
    ],
)
def test_a_mistake_is_told_with_line_value_and_mend(text, words):
    with pytest.raises(PbtxtError) as caught:
        parse(text, ROOT)
    assert words in str(caught.value)


def test_depth_is_bounded():
    with pytest.raises(PbtxtError):
        parse("model_warmup { inputs { value { " * 5000, ROOT)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='abn{}[]<>:;,"\\#0-9\n name: max_batch_size input', max_size=60))
def test_no_text_breaks_the_reader(text):
    with contextlib.suppress(PbtxtError):
        assert isinstance(parse(text, ROOT), dict)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], '"ModelConfig" is []; give an object'),
        ({"nam": "x"}, '"nam" is no field of ModelConfig'),
        ({"input": {}}, '"input" is {}; give a list'),
        ({"input": [{"dims": ["x"]}]}, "\"input[0].dims[0]\" is 'x'; give a int64"),
        ({"max_batch_size": True}, '"max_batch_size" is True; give a int32'),
    ],
)
def test_a_mistake_in_json_is_told_with_its_path(value, words):
    with pytest.raises(InvalidInput) as caught:
        from_json(ROOT, value)
    assert words in str(caught.value)


def test_defaults_are_shown_and_absent_messages_are_not():
    shown = with_defaults(ROOT, {"name": "m", "input": [{"name": "x"}]})
    assert (shown["max_batch_size"], shown["parameters"], shown["output"]) == (0, {}, [])
    assert shown["input"][0]["format"] == "FORMAT_NONE"
    assert "dynamic_batching" not in shown

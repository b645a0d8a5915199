"""OpenAI's requests as they are read, and answers as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sampan.protocol.errors import InvalidRequestBody
from sampan.protocol.openai.answers import Head, Piece, Token, Usage, join, make_completion
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.requests import (
    read_chat,
    read_completion,
    read_embedding,
    read_rerank,
)
from sampan.protocol.openai.sampling import Sampling
from sampan.server.openai import make_prefix

CHAT = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
TEXT = {"model": "m", "prompt": "a"}


def read(reader: Callable[[bytes], Any], body: object) -> Any:
    return reader(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        pytest.param("a", ("a",), id="a text"),
        pytest.param(["a", "b"], ("a", "b"), id="texts"),
        pytest.param([1, 2], ((1, 2),), id="the numbers of tokens"),
        pytest.param([[1], "b"], ((1,), "b"), id="both"),
    ],
)
def test_a_prompt_has_many_forms(prompt, prompts):
    assert read(read_completion, {"model": "m", "prompt": prompt}).prompts == prompts


def test_what_is_not_said_is_openais_default():
    request = read(read_completion, TEXT)
    assert request.sampling == Sampling(max_tokens=16)
    assert (request.stream, request.echo, request.ignored) == (False, False, ())
    assert read(read_chat, CHAT).sampling == Sampling()


def test_null_is_as_good_as_nothing():
    nulls = dict.fromkeys(("temperature", "stop", "n", "logit_bias", "seed", "stream", "tools"))
    assert read(read_chat, CHAT | nulls) == read(read_chat, CHAT)


def test_the_new_name_of_a_field_wins():
    sampling = read(read_chat, CHAT | {"max_tokens": 3, "max_completion_tokens": 5}).sampling
    assert sampling.max_tokens == 5


def test_fields_that_nobody_knows_are_named():
    assert read(read_completion, TEXT | {"magic": 1, "user": "me"}).ignored == ("magic",)


@pytest.mark.parametrize(
    ("reader", "body", "told"),
    [
        (read_completion, TEXT | {"temperature": 3}, '"temperature" is 3; send a number from 0'),
        (read_completion, TEXT | {"top_p": 0}, '"top_p" is 0; send a number above 0'),
        (read_completion, TEXT | {"n": 0}, '"n" is 0; send a whole number from 1'),
        (read_completion, TEXT | {"n": 999}, '"n" is 999'),
        (read_completion, TEXT | {"best_of": 3}, '"best_of" is 3'),
        (read_completion, TEXT | {"stop": ""}, '"stop" has an empty string'),
        (read_completion, TEXT | {"logprobs": 99}, "99 logprobs are asked for"),
        (read_completion, TEXT | {"logit_bias": {"a": 1}}, '"logit_bias" names token "a"'),
        (read_completion, TEXT | {"logit_bias": {"1": 200}}, '"logit_bias" of 1 is 200'),
        (read_completion, TEXT | {"guided_json": {}}, '"guided_json" is not supported'),
        (read_completion, TEXT | {"stream_options": {}}, 'without "stream": true'),
        (read_completion, {"model": "m", "prompt": []}, '"prompt" is empty'),
        (read_chat, CHAT | {"top_logprobs": 2}, 'without "logprobs"'),
        (read_chat, CHAT | {"response_format": {"type": "json_object"}}, '"response_format"'),
        (read_chat, CHAT | {"tool_choice": "required"}, '"tool_choice" forces a tool'),
        (read_chat, CHAT | {"chat_template": "{{x}}"}, '"chat_template" is a program'),
        (read_embedding, {"model": "m", "input": "a", "encoding_format": "x"}, "encoding_format"),
        (read_rerank, {"model": "m", "query": "a", "documents": []}, '"documents" is empty'),
    ],
)
def test_what_is_out_of_range_or_not_done_is_told(reader, body, told):
    with pytest.raises(BadRequest) as caught:
        read(reader, body)
    assert told in str(caught.value)
    error = json.loads(caught.value.body())["error"]
    assert (error["code"], error["type"]) == ("400", "BadRequestError")


@pytest.mark.parametrize(
    ("reader", "body", "places"),
    [
        pytest.param(read_completion, {"prompt": "a"}, [["model"]], id="no model"),
        pytest.param(
            read_completion, TEXT | {"n": "2", "stream": 1, "temperature": "hot"},
            [["n"], ["temperature"], ["stream"]], id="all mistakes at once",
        ),
        pytest.param(read_chat, CHAT | {"messages": "hi"}, [["messages"]], id="no messages"),
        pytest.param(read_embedding, {"model": "m", "input": 5}, [["input"]], id="a number"),
        pytest.param(read_completion, [], [[]], id="no object"),
    ],
)  # fmt: skip
def test_wrong_types_are_fastapis_detail(reader, body, places):
    with pytest.raises(InvalidRequestBody) as caught:
        read(reader, body)
    assert [entry["loc"][1:] for entry in caught.value.detail] == places


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_what_is_no_json_is_told(body):
    with pytest.raises(InvalidRequestBody):
        read_completion(body)


def test_pieces_make_the_choice_that_is_told():
    pieces = [Piece("a", (Token("a", -1.0, (("a", -1.0), ("b", -2.0))),)), Piece("b", (), "stop")]
    document = make_completion(Head("1", 2, "m"), [join(pieces)], Usage(3, 2), told=True)
    assert document["choices"] == [
        {
            "index": 0,
            "text": "ab",
            "logprobs": {
                "tokens": ["a"],
                "token_logprobs": [-1.0],
                "top_logprobs": [{"a": -1.0, "b": -2.0}],
                "text_offset": [0],
            },
            "finish_reason": "stop",
        }
    ]
    assert document["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    ("value", "prefix"), [("/openai", "/openai"), ("openai/", "/openai"), ("", ""), ("/", "")]
)
def test_the_prefix_of_the_routes_may_be_empty(value, prefix):
    assert make_prefix(value) == prefix

"""Requests of OpenAI's routes, as KServe's server takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.fields import Fields
from sampan.protocol.openai.sampling import Sampling, read_sampling

Prompt: TypeAlias = "str | tuple[int, ...]"
"""A text, or the numbers of its tokens."""

_COMPLETION_TOKENS = 16  # OpenAI's default of max_tokens for completions
_FORMATS = frozenset({"float", "base64"})


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """POST /v1/completions. Each prompt has `sampling.n` choices, numbered over all prompts.

    `ignored` names the fields that nobody here knows.
    """

    model: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    echo: bool = False
    stream: bool = False
    include_usage: bool = False
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """POST /v1/chat/completions. `template` are the values that the model's template gets."""

    model: str
    messages: tuple[JsonObject, ...]
    sampling: Sampling
    stream: bool = False
    include_usage: bool = False
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    template: JsonObject = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """POST /v1/embeddings. With `base64` a vector is sent as little-endian 32-bit floats."""

    model: str
    inputs: tuple[Prompt, ...]
    base64: bool = False
    dimensions: int | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """POST /v1/rerank: how well each document answers the query; the `top_n` best, 0: all."""

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int = 0
    ignored: tuple[str, ...] = ()


def read_completion(body: bytes) -> CompletionRequest:
    """Return the request; InvalidRequestBody (422) or BadRequest (400) tells what is wrong."""
    fields = Fields(body)
    model = fields.required_text("model")
    prompts = _read_prompts(fields, "prompt")
    sampling = read_sampling(
        fields, fields.whole("max_tokens", 0, _COMPLETION_TOKENS), fields.whole("logprobs", 0)
    )
    echo, stream = fields.flag("echo"), fields.flag("stream")
    usage = _read_usage(fields, stream)
    return CompletionRequest(model, prompts, sampling, echo, stream, usage, fields.end())


def read_chat(body: bytes) -> ChatRequest:
    """Return the request; InvalidRequestBody (422) or BadRequest (400) tells what is wrong."""
    fields = Fields(body)
    model = fields.required_text("model")
    messages = fields.objects("messages")
    if not messages and not fields.detail:
        raise BadRequest('"messages" is empty; send at least one message')
    for number, message in enumerate(messages):
        if not isinstance(message.get("role"), str):
            raise BadRequest(f'message {number} has no "role"; send one, as "user"')
    told = fields.whole("top_logprobs", 0)
    wanted = fields.flag("logprobs")
    if told and not wanted:
        raise BadRequest(f'"top_logprobs" is {told} without "logprobs"; send "logprobs": true')
    # OpenAI renamed the field; the new name wins.
    most = fields.whole("max_tokens", 1)
    sampling = read_sampling(
        fields, fields.whole("max_completion_tokens", 1, most), (told or 0) if wanted else None
    )
    _refuse_formats(fields)
    stream = fields.flag("stream")
    return ChatRequest(
        model,
        messages,
        sampling,
        stream,
        _read_usage(fields, stream),
        fields.flag("add_generation_prompt", default=True),
        fields.flag("continue_final_message"),
        _read_template(fields),
        fields.end(),
    )


def read_embedding(body: bytes) -> EmbeddingRequest:
    """Return the request; InvalidRequestBody (422) or BadRequest (400) tells what is wrong."""
    fields = Fields(body)
    model = fields.required_text("model")
    inputs = _read_prompts(fields, "input")
    form = fields.text("encoding_format", "float")
    if form not in _FORMATS:
        raise BadRequest(f'"encoding_format" is "{form}"; send "float" or "base64"')
    fields.text("user")
    return EmbeddingRequest(
        model, inputs, form == "base64", fields.whole("dimensions", 1), fields.end()
    )


def read_rerank(body: bytes) -> RerankRequest:
    """Return the request; InvalidRequestBody (422) or BadRequest (400) tells what is wrong."""
    fields = Fields(body)
    model, query = fields.required_text("model"), fields.required_text("query")
    documents = fields.texts("documents")
    if not documents and not fields.detail:
        raise BadRequest('"documents" is empty; send at least one text')
    return RerankRequest(model, query, documents, fields.whole("top_n", 0, 0) or 0, fields.end())


def _read_prompts(fields: Fields, name: str) -> tuple[Prompt, ...]:
    """Return texts, or lists of token numbers: one of either, or several."""
    value = fields.get(name)
    if value in ([], None) or value == [[]]:
        raise BadRequest(f'"{name}" is empty; send a text, or a list of texts')
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        if _are_tokens(value):
            return (tuple(value),)
        if all(isinstance(item, str) or (item and _are_tokens(item)) for item in value):
            return tuple(item if isinstance(item, str) else tuple(item) for item in value)
    fields.wrong(name, "string_type", "a valid string, a list of them, or of token numbers")
    return ()


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _read_usage(fields: Fields, stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        fields.wrong("stream_options", "dict_type", "a valid object")
        return False
    if not stream:
        raise BadRequest('"stream_options" is set without "stream": true; send both, or neither')
    return options.get("include_usage") is True


def _refuse_formats(fields: Fields) -> None:
    """Raise BadRequest for an answer's form that is not made here."""
    form = fields.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else form
    if kind not in {None, "text"}:
        raise BadRequest(f'"response_format" is {kind!r}; only text is made, leave it out')
    choice = fields.get("tool_choice")
    if choice not in (None, "none", "auto"):
        raise BadRequest('"tool_choice" forces a tool; send "auto" or "none"')
    if fields.get("chat_template") is not None:
        raise BadRequest('"chat_template" is a program; only the model\'s own is run, leave it out')


def _read_template(fields: Fields) -> JsonObject:
    values: JsonObject = {}
    given = fields.get("chat_template_kwargs")
    if isinstance(given, dict):
        values |= given
    elif given is not None:
        fields.wrong("chat_template_kwargs", "dict_type", "a valid object")
    for name in ("tools", "documents"):
        objects = fields.objects(name)
        if objects and fields.values.get("tool_choice") != "none":
            values[name] = list(objects)
    return values

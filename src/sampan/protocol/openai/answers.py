"""Answers of OpenAI's routes: whole ones and chunks of a stream. Pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.machinery.registry import JsonObject

DONE = b"[DONE]"
"""The data of a stream's last event."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as logprobs tell it: its text, its logarithm, and the likeliest in its place."""

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What a choice has gained: text, its tokens, and at the end why it ended."""

    text: str
    tokens: tuple[Token, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the prompts and of all choices."""

    prompt: int
    completion: int = 0

    def document(self) -> JsonObject:
        """Return it as answers tell it."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


@dataclass(frozen=True, slots=True)
class Head:
    """What every document of one answer has. `created` is in seconds since 1970."""

    id: str
    created: int
    model: str


def join(pieces: Sequence[Piece]) -> Piece:
    """Return the choice that pieces make together."""
    reason = next((p.finish_reason for p in pieces if p.finish_reason), None)
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return Piece("".join(piece.text for piece in pieces), tokens, reason)


def make_completion(head: Head, choices: Sequence[Piece], usage: Usage, told: bool) -> JsonObject:
    """Return a completion; `told`: with logprobs."""
    rows = [_completion_choice(i, piece, 0, told) for i, piece in enumerate(choices)]
    return {**_base(head, "text_completion"), "choices": rows, "usage": usage.document()}


def make_completion_chunk(
    head: Head, index: int, piece: Piece, offset: int, told: bool
) -> JsonObject:
    """Return a chunk; `offset` is where its text begins in the choice."""
    row = _completion_choice(index, piece, offset, told)
    return {**_base(head, "text_completion"), "choices": [row]}


def make_chat(head: Head, choices: Sequence[Piece], usage: Usage, told: bool) -> JsonObject:
    """Return a chat completion."""
    rows: list[JsonObject] = []
    for index, piece in enumerate(choices):
        row: JsonObject = {
            "index": index,
            "message": {"role": "assistant", "content": piece.text},
            "finish_reason": piece.finish_reason,
        }
        rows.append(row | (_chat_logprobs(piece) if told else {}))
    return {**_base(head, "chat.completion"), "choices": rows, "usage": usage.document()}


def make_chat_chunk(
    head: Head, index: int, piece: Piece, told: bool, *, first: bool = False
) -> JsonObject:
    """Return a chunk; the first one of a choice tells the role."""
    delta: JsonObject = {"role": "assistant"} if first else {}
    row: JsonObject = {
        "index": index,
        "delta": {**delta, "content": piece.text},
        "finish_reason": piece.finish_reason,
    }
    row |= _chat_logprobs(piece) if told and piece.tokens else {}
    return {**_base(head, "chat.completion.chunk"), "choices": [row]}


def make_usage_chunk(head: Head, usage: Usage, *, chat: bool) -> JsonObject:
    """Return the last chunk, where the request asks for the usage."""
    kind = "chat.completion.chunk" if chat else "text_completion"
    return {**_base(head, kind), "choices": [], "usage": usage.document()}


def make_embeddings(
    head: Head, vectors: Sequence[Sequence[float]], tokens: int, *, packed: bool
) -> JsonObject:
    """Return embeddings; `packed`: little-endian 32-bit floats as base64."""
    rows: list[JsonObject] = [
        {"object": "embedding", "index": i, "embedding": _pack(v) if packed else list(v)}
        for i, v in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {
        "id": head.id, "object": "list", "created": head.created, "model": head.model,
        "data": rows, "usage": usage,
    }  # fmt: skip


def make_rerank(
    head: Head, documents: Sequence[str], scores: Sequence[float], top_n: int, tokens: int
) -> JsonObject:
    """Return the documents, the best first."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    rows = [
        {"index": i, "document": {"text": documents[i]}, "relevance_score": scores[i]}
        for i in order[: top_n or len(order)]
    ]
    return {
        "id": head.id, "model": head.model, "usage": {"total_tokens": tokens}, "results": rows,
    }  # fmt: skip


def make_models(names: Sequence[str], created: int) -> JsonObject:
    """Return the list of models."""
    rows: list[JsonObject] = [
        {"id": name, "object": "model", "created": created, "owned_by": "sampan", "root": name,
         "parent": None, "permission": []}
        for name in names
    ]  # fmt: skip
    return {"object": "list", "data": rows}


def _base(head: Head, kind: str) -> JsonObject:
    return {"id": head.id, "object": kind, "created": head.created, "model": head.model}


def _completion_choice(index: int, piece: Piece, offset: int, told: bool) -> JsonObject:
    row: JsonObject = {
        "index": index,
        "text": piece.text,
        "logprobs": None,
        "finish_reason": piece.finish_reason,
    }
    if told:
        row["logprobs"] = _completion_logprobs(piece, offset)
    return row


def _completion_logprobs(piece: Piece, offset: int) -> JsonObject:
    offsets = []
    for token in piece.tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in piece.tokens],
        "token_logprobs": [token.logprob for token in piece.tokens],
        # Bytes that are no whole character look alike; of such tokens the likeliest is told.
        "top_logprobs": [
            None if token.logprob is None else dict(reversed(token.top)) for token in piece.tokens
        ],
        "text_offset": offsets,
    }


def _chat_logprobs(piece: Piece) -> JsonObject:
    def one(text: str, logprob: float | None) -> JsonObject:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    rows = [
        one(token.text, token.logprob) | {"top_logprobs": [one(*other) for other in token.top]}
        for token in piece.tokens
    ]
    return {"logprobs": {"content": rows}}


def _pack(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

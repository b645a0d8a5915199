"""Requests of OpenAI's routes answered by a generator: whole, or as the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.protocol.errors import ClientLeft
from sampan.protocol.openai import answers
from sampan.protocol.openai.answers import Head, Piece, Usage
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.requests import ChatRequest, CompletionRequest
from sampan.protocol.openai.sampling import Sampling
from sampan.runtimes.huggingface.generator import Generator

_MOST_PROMPTS = 1024


@dataclass(frozen=True, slots=True)
class _Choice:
    """One text to make: of which prompt, and what of it may be told first."""

    index: int
    prompt: Sequence[int]
    most: int
    echo: bool


@dataclass(slots=True)
class _Work:
    """All texts of one request. `spent` counts the tokens of the answers so far."""

    generator: Generator
    sampling: Sampling
    choices: tuple[_Choice, ...]
    prompt_tokens: int
    gone: Callable[[], bool]
    spent: int = 0

    def pieces(self, choice: _Choice) -> Iterator[Piece]:
        """Yield the pieces of a choice; ClientLeft once nobody reads them any more."""
        if choice.echo:
            yield self.generator.tell_prompt(choice.prompt, self.sampling.logprobs)
        number = choice.index % self.sampling.n
        made = self.generator.generate(choice.prompt, self.sampling, choice.most, number)
        for piece, tokens in made:
            self.spent += tokens
            if self.gone():
                raise ClientLeft
            if piece.text or piece.tokens or piece.finish_reason:
                yield piece

    def usage(self) -> Usage:
        """Return the tokens so far."""
        return Usage(self.prompt_tokens, self.spent)


def make_head(model: str) -> Head:
    """Return what is the same in every document of a new answer."""
    return Head(str(uuid.uuid4()), int(time.time()), model)


def answer_completion(
    generator: Generator, request: CompletionRequest, gone: Callable[[], bool]
) -> Any:
    """Return the answer, or the iterator of its chunks; BadRequest before anything is made."""
    if request.echo and not generator.echoes:
        raise BadRequest('"echo" is set, and this model\'s answers do not go on from the prompt')
    if len(request.prompts) > _MOST_PROMPTS:
        raise BadRequest(f"{len(request.prompts)} prompts; send {_MOST_PROMPTS} at most")
    prompts = [generator.encode(prompt) for prompt in request.prompts]
    work = _plan(generator, prompts, request.sampling, gone, echo=request.echo)
    head, told = make_head(request.model), request.sampling.logprobs is not None
    if not request.stream:
        whole = [answers.join(list(work.pieces(choice))) for choice in work.choices]
        return answers.make_completion(head, whole, work.usage(), told)
    offsets = dict.fromkeys(range(len(work.choices)), 0)

    def make_chunk(index: int, piece: Piece) -> Any:
        offset = offsets[index]
        offsets[index] += sum(len(token.text) for token in piece.tokens)
        return answers.make_completion_chunk(head, index, piece, offset, told)

    last = answers.make_usage_chunk if request.include_usage else None
    return _stream(work, make_chunk, lambda: last and last(head, work.usage(), chat=False))


def answer_chat(generator: Generator, request: ChatRequest, gone: Callable[[], bool]) -> Any:
    """Return the answer, or the iterator of its chunks; BadRequest before anything is made."""
    prompt = generator.encode_chat(request)
    if not prompt:
        raise BadRequest("the messages make an empty prompt; send one with a text")
    work = _plan(generator, [prompt], request.sampling, gone)
    head, told = make_head(request.model), request.sampling.logprobs is not None
    if not request.stream:
        whole = [answers.join(list(work.pieces(choice))) for choice in work.choices]
        return answers.make_chat(head, whole, work.usage(), told)
    first = [
        answers.make_chat_chunk(head, choice.index, Piece(""), told, first=True)
        for choice in work.choices
    ]
    last = answers.make_usage_chunk if request.include_usage else None
    chunks = _stream(
        work,
        lambda index, piece: answers.make_chat_chunk(head, index, piece, told),
        lambda: last and last(head, work.usage(), chat=True),
    )
    return _after(first, chunks)


def _plan(
    generator: Generator,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    gone: Callable[[], bool],
    *,
    echo: bool = False,
) -> _Work:
    generator.validate(sampling)
    lengths = [generator.select_most(prompt, sampling.max_tokens) for prompt in prompts]
    choices = tuple(
        _Choice(place * sampling.n + number, prompt, lengths[place], echo)
        for place, prompt in enumerate(prompts)
        for number in range(sampling.n)
    )
    return _Work(generator, sampling, choices, sum(map(len, prompts)), gone)


def _stream(
    work: _Work, make_chunk: Callable[[int, Piece], Any], make_last: Callable[[], Any]
) -> Iterator[Any]:
    """Yield the chunks of all choices, which take turns, and what ends a stream."""
    going = {choice.index: work.pieces(choice) for choice in work.choices}
    while going:
        for index, pieces in list(going.items()):
            piece = next(pieces, None)
            if piece is None:
                del going[index]
            else:
                yield make_chunk(index, piece)
    last = make_last()
    if last:
        yield last
    yield answers.DONE


def _after(first: Sequence[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from first
    yield from rest

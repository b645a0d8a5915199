"""How a loaded model goes on with a prompt: choices as pieces of text, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sampan.protocol.openai.answers import Piece, Token
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.requests import ChatRequest, Prompt
from sampan.protocol.openai.sampling import Sampling
from sampan.runtimes.huggingface.choosing import Chosen
from sampan.runtimes.huggingface.decoding import Network, generate, score_prompt
from sampan.runtimes.huggingface.loading import Loaded
from sampan.runtimes.huggingface.settings import Settings
from sampan.runtimes.huggingface.tasks import Task
from sampan.runtimes.huggingface.text_stream import Detokenizer, StopWatch


class Generator:
    """A loaded model of a generative task."""

    def __init__(self, loaded: Loaded, settings: Settings) -> None:
        self._tokenizer = loaded.tokenizer
        self._length = loaded.length
        self._special = settings.special_tokens
        self._network = make_network(loaded)
        self._places = int(loaded.network.get_input_embeddings().weight.shape[0])

    @property
    def echoes(self) -> bool:
        """Whether an answer goes on from its prompt, so that both are one text."""
        return not self._network.encoder_decoder

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt; BadRequest for one that the model has not."""
        if isinstance(prompt, str):
            ids: list[int] = self._tokenizer.encode(prompt, add_special_tokens=self._special)
        else:
            ids = list(prompt)
            self._validate_tokens(ids, "the prompt")
        if not ids:
            raise BadRequest("the prompt is empty; send a text with at least one token")
        return ids

    def decode(self, ids: Sequence[int], *, skip: bool) -> str:
        """Return the text of tokens; `skip`: without special ones."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip)
        return text

    def encode_chat(self, request: ChatRequest) -> list[int]:
        """Return the tokens of a conversation in the form that the model was made with."""
        if not getattr(self._tokenizer, "chat_template", None):
            raise BadRequest(
                "the model has no chat template, so it does not know conversations; ask "
                "/v1/completions, or save the tokenizer with one"
            )
        try:
            text = self._tokenizer.apply_chat_template(
                [_flatten(message) for message in request.messages],
                tokenize=False,
                add_generation_prompt=request.add_generation_prompt
                and not request.continue_final_message,
                continue_final_message=request.continue_final_message,
                **request.template,
            )
        except Exception as error:
            raise BadRequest(
                f"the model's chat template refuses the messages: {error}; send what it takes"
            ) from error
        # The template writes special tokens itself.
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def select_most(self, prompt: Sequence[int], asked: int | None) -> int:
        """Return how many tokens may come; BadRequest where prompt and answer are too long."""
        used = 0 if self._network.encoder_decoder else len(prompt)
        wanted = used + (asked if asked is not None else 1)
        if wanted > self._length or len(prompt) > self._length:
            raise BadRequest(
                f"This model's maximum context length is {self._length} tokens. However, you "
                f"requested {max(wanted, len(prompt))} tokens ({len(prompt)} in the prompt, "
                f"{asked if asked is not None else 'at least 1'} in the completion); reduce the "
                "prompt or max_tokens"
            )
        return self._length - used if asked is None else asked

    def validate(self, sampling: Sampling) -> None:
        """Raise BadRequest for what names tokens that the model has not."""
        self._validate_tokens([token for token, _ in sampling.logit_bias], '"logit_bias"')
        self._validate_tokens(list(sampling.stop_token_ids), '"stop_token_ids"')

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, most: int, choice: int
    ) -> Iterator[tuple[Piece, int]]:
        """Yield each piece of a choice with how many tokens made it; the last tells its end."""
        decode = partial(self.decode, skip=sampling.skip_special_tokens)
        seed = None if sampling.seed is None else sampling.seed + choice
        steps = generate(self._network, prompt, sampling, most, seed)
        return _make_pieces(steps, sampling, decode, self._token)

    def tell_prompt(self, prompt: Sequence[int], told: int | None) -> Piece:
        """Return a prompt as the first piece of an answer that echoes it."""
        tokens: tuple[Token, ...] = ()
        if told is not None:
            scored = score_prompt(self._network, prompt, told)
            tokens = tuple(self._token(chosen) for chosen in scored)
        return Piece(self.decode(prompt, skip=True), tokens)

    def _token(self, chosen: Chosen) -> Token:
        def text(token: int) -> str:
            return self.decode([token], skip=False)

        top = tuple((text(token), logprob) for token, logprob in chosen.top)
        return Token(text(chosen.token), chosen.logprob, top)

    def _validate_tokens(self, ids: Sequence[int], where: str) -> None:
        unknown = [token for token in ids if not 0 <= token < self._places]
        if unknown:
            raise BadRequest(
                f"{where} has token {unknown[0]}; the model has tokens 0 to {self._places - 1}"
            )


def make_network(loaded: Loaded) -> Network:
    """Return what decoding needs to know of a network."""
    model = loaded.network
    told = model.generation_config
    ends = told.eos_token_id if told.eos_token_id is not None else loaded.tokenizer.eos_token_id
    listed = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    starts = (
        told.decoder_start_token_id,
        getattr(model.config, "decoder_start_token_id", None),
        loaded.tokenizer.bos_token_id,
        loaded.tokenizer.pad_token_id,
    )
    return Network(
        model,
        frozenset(listed),
        encoder_decoder=loaded.task is Task.TEXT2TEXT_GENERATION,
        start=next((start for start in starts if start is not None), 0),
        forced=told.forced_bos_token_id,
    )


def _make_pieces(
    steps: Iterator[Chosen],
    sampling: Sampling,
    decode: Callable[[Sequence[int]], str],
    make_token: Callable[[Chosen], Token],
) -> Iterator[tuple[Piece, int]]:
    """Yield the pieces that tokens make: text up to a stop string, and at the end why it ended."""
    detokenizer, watch = Detokenizer(decode), StopWatch(sampling.stop)
    reason = "length"
    for chosen in steps:
        if chosen.ends:
            yield Piece(""), 1
            reason = "stop"
            break
        tokens = () if sampling.logprobs is None else (make_token(chosen),)
        yield Piece(watch.push(detokenizer.push(chosen.token)), tokens), 1
        if watch.stopped:
            yield Piece("", (), "stop"), 0
            return
    text = watch.push(detokenizer.end())
    if watch.stopped:
        reason = "stop"
    yield Piece(text + watch.end(), (), reason), 0


def _flatten(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message whose text parts are one text; BadRequest for parts of other kinds."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else part
            raise BadRequest(f"a message has a part of type {kind!r}; only text is read here")
        texts.append(str(part.get("text", "")))
    return {**message, "content": "\n".join(texts)}

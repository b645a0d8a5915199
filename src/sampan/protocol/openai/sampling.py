"""How a text goes on: the fields that completions and chat share (OpenAI, vLLM's additions)."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.fields import Fields

MOST_CHOICES = 128
"""OpenAI's bound of `n`: each choice is a text of its own."""

_MOST_STOPS = 64
_MOST_LOGPROBS = 20  # OpenAI's bound of top_logprobs
_REFUSED = {
    "suffix": "text before a suffix is not made; leave it out",
    "guided_json": "structured output is not made; leave it out",
    "guided_regex": "structured output is not made; leave it out",
    "guided_choice": "structured output is not made; leave it out",
    "guided_grammar": "structured output is not made; leave it out",
    "structured_outputs": "structured output is not made; leave it out",
    "prompt_logprobs": "ask with echo and logprobs",
    "use_beam_search": "beams are not searched; leave it out",
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """One way to go on. `max_tokens` None: up to the model's length. Temperature 0: the likeliest.

    `logprobs` is how many alternatives are told a token; None: nothing is told.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    n: int = 1
    stop: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    ignore_eos: bool = False
    min_tokens: int = 0
    skip_special_tokens: bool = True


def read_sampling(fields: Fields, max_tokens: int | None, logprobs: int | None) -> Sampling:
    """Return the sampling of a request; BadRequest names what is out of range or not done here."""
    for name, mend in _REFUSED.items():
        if fields.get(name) not in (None, "", False):
            raise BadRequest(f'"{name}" is not supported: {mend}')
    n = fields.whole("n", 1, 1) or 1
    if n > MOST_CHOICES:
        raise BadRequest(f'"n" is {n}; send a whole number from 1 to {MOST_CHOICES}')
    best_of = fields.whole("best_of", 1)
    if best_of not in {None, n}:
        raise BadRequest(f'"best_of" is {best_of}, and "n" is {n}; leave best_of out')
    if logprobs is not None and logprobs > _MOST_LOGPROBS:
        raise BadRequest(f"{logprobs} logprobs are asked for; ask for {_MOST_LOGPROBS} at most")
    fields.text("user")  # tells OpenAI who asks; it changes no answer
    return Sampling(
        max_tokens=max_tokens,
        temperature=fields.number("temperature", 1.0, 0.0, 2.0),
        top_p=_above_zero(fields, "top_p", 1.0),
        top_k=max(0, fields.whole("top_k", -1, 0) or 0),
        min_p=fields.number("min_p", 0.0, 0.0, 1.0),
        n=n,
        stop=_read_stop(fields),
        stop_token_ids=_read_ids(fields),
        seed=fields.whole("seed", -(2**63)),
        presence_penalty=fields.number("presence_penalty", 0.0, -2.0, 2.0),
        frequency_penalty=fields.number("frequency_penalty", 0.0, -2.0, 2.0),
        repetition_penalty=_above_zero(fields, "repetition_penalty", 100.0),
        logit_bias=_read_bias(fields),
        logprobs=logprobs,
        ignore_eos=fields.flag("ignore_eos"),
        min_tokens=fields.whole("min_tokens", 0, 0) or 0,
        skip_special_tokens=fields.flag("skip_special_tokens", default=True),
    )


def _above_zero(fields: Fields, name: str, most: float) -> float:
    value = fields.number(name, 1.0, 0.0, most)
    if value == 0.0:
        raise BadRequest(f'"{name}" is 0; send a number above 0, up to {most:g}')
    return value


def _read_stop(fields: Fields) -> tuple[str, ...]:
    stop = fields.texts("stop")
    if len(stop) > _MOST_STOPS:
        raise BadRequest(f'"stop" has {len(stop)} strings; send {_MOST_STOPS} at most')
    if any(not text for text in stop):
        raise BadRequest('"stop" has an empty string, which stands everywhere; leave it out')
    return stop


def _read_ids(fields: Fields) -> frozenset[int]:
    value = fields.get("stop_token_ids")
    if value is None:
        return frozenset()
    if isinstance(value, list) and all(type(item) is int for item in value):
        return frozenset(value)
    fields.wrong("stop_token_ids", "list_type", "a valid list of integers")
    return frozenset()


def _read_bias(fields: Fields) -> tuple[tuple[int, float], ...]:
    value = fields.get("logit_bias")
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(
        type(bias) in {int, float} for bias in value.values()
    ):
        fields.wrong("logit_bias", "dict_type", "a valid object of numbers by token id")
        return ()
    read = []
    for token, bias in value.items():
        if not token.isdecimal():
            raise BadRequest(f'"logit_bias" names token "{token}"; send the numbers of tokens')
        if not -100 <= bias <= 100:
            raise BadRequest(f'"logit_bias" of {token} is {bias:g}; send a number from -100 to 100')
        read.append((int(token), float(bias)))
    return tuple(read)

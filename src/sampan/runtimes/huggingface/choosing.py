"""Which token comes next: penalties, bias, temperature and cuts, as OpenAI and vLLM define them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sampan.protocol.openai.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token, the logarithm of its likelihood (before temperature and penalties), the likeliest.

    `ends`: the text ends with it, and it is no part of the text.
    """

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...]
    ends: bool = False


class Chooser:
    """Chooses for one sequence. With a seed its choices are the same each time."""

    def __init__(
        self, sampling: Sampling, ends: frozenset[int], seed: int | None, device: Any
    ) -> None:
        import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

        self._sampling = sampling
        self._ends = (frozenset() if sampling.ignore_eos else ends) | sampling.stop_token_ids
        self._never = ends | sampling.stop_token_ids
        self._random = torch.Generator(device=device)
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed & (2**63 - 1))

    def choose(self, logits: Any, seen: Sequence[int], said: Counter[int], number: int) -> Chosen:
        """Return the next token. `seen` are prompt and answer, `said` counts the answer's."""
        import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

        sampling = self._sampling
        told = torch.log_softmax(logits, dim=-1) if sampling.logprobs is not None else None
        scores = self._adjust(logits, seen, said)
        if number < sampling.min_tokens:
            scores[[token for token in self._never if token < len(scores)]] = -torch.inf
        if sampling.temperature == 0:
            token = int(torch.argmax(scores))
        else:
            likely = torch.softmax(_cut(scores / sampling.temperature, sampling), dim=-1)
            token = int(torch.multinomial(likely, 1, generator=self._random))
        ends = token in self._ends
        if told is None:
            return Chosen(token, None, (), ends)
        values, tokens = torch.topk(told, sampling.logprobs or 0)
        top = tuple((int(t), float(v)) for t, v in zip(tokens, values, strict=True))
        return Chosen(token, float(told[token]), top, ends)

    def _adjust(self, logits: Any, seen: Sequence[int], said: Counter[int]) -> Any:
        """Return the scores with penalties and bias."""
        import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

        sampling, scores = self._sampling, logits.clone()
        if sampling.repetition_penalty != 1.0:
            places = torch.tensor(sorted(set(seen)), device=scores.device)
            found = scores[places]
            penalty = sampling.repetition_penalty
            scores[places] = torch.where(found > 0, found / penalty, found * penalty)
        if said and (sampling.presence_penalty or sampling.frequency_penalty):
            places = torch.tensor(list(said), device=scores.device)
            counts = torch.tensor(list(said.values()), device=scores.device)
            scores[places] -= sampling.presence_penalty + sampling.frequency_penalty * counts
        for token, bias in sampling.logit_bias:
            scores[token] += bias
        return scores


def _cut(scores: Any, sampling: Sampling) -> Any:
    """Return the scores with the unlikely ones out of the choice."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

    if 0 < sampling.top_k < len(scores):
        least = torch.topk(scores, sampling.top_k).values[-1]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.min_p > 0:
        likely = torch.softmax(scores, dim=-1)
        scores = scores.masked_fill(likely < sampling.min_p * likely.max(), -torch.inf)
    if sampling.top_p < 1:
        ordered, places = torch.sort(scores, descending=True)
        before = torch.cumsum(torch.softmax(ordered, dim=-1), dim=-1) - torch.softmax(
            ordered, dim=-1
        )
        scores = scores.index_fill(0, places[before >= sampling.top_p], -torch.inf)
    return scores

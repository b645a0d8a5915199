"""Asking a model for one token after another, with what it remembers of the earlier ones.

A sequence stands alone: no padding, so that its tokens do not depend on who else is asking. One
step of one sequence runs at a time, so that those who ask together take turns.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.protocol.openai.sampling import Sampling
from sampan.runtimes.huggingface.choosing import Chooser, Chosen


@dataclass(frozen=True, slots=True)
class Network:
    """A generative network of transformers. `start` begins the answer of an encoder-decoder.

    `forced` is the token that its first one must be (mBART's language), `ends` are those that end
    a text.
    """

    model: Any
    ends: frozenset[int]
    encoder_decoder: bool = False
    start: int = 0
    forced: int | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, given: dict[str, Any]) -> Any:
        """Run one step."""
        import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

        with self.turn, torch.inference_mode():
            return self.model(**given, use_cache=True)


def generate(
    network: Network, prompt: Sequence[int], sampling: Sampling, most: int, seed: int | None
) -> Iterator[Chosen]:
    """Yield at most `most` tokens; one that ends the text is the last and is told as such."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

    device = network.model.device
    chooser = Chooser(sampling, network.ends, seed, device)
    said: Counter[int] = Counter()
    state = _begin(network, torch.tensor([list(prompt)], device=device))
    seen = list(prompt)
    for number in range(most):
        given, step = state
        answer = network.ask(given)
        logits = answer.logits[0, -1].float()
        if number == 0 and network.forced is not None:
            chosen = Chosen(network.forced, 0.0, ())
        else:
            chosen = chooser.choose(logits, seen, said, number)
        yield chosen
        if chosen.ends:
            return
        said[chosen.token] += 1
        seen.append(chosen.token)
        state = _go_on(answer, given, step, torch.tensor([[chosen.token]], device=device))


def score_prompt(network: Network, prompt: Sequence[int], told: int) -> list[Chosen]:
    """Return each token of a prompt as logprobs tell it; the first has no logarithm."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

    ids = torch.tensor([list(prompt)], device=network.model.device)
    logits = network.ask({"input_ids": ids}).logits[0].float()
    rows = torch.log_softmax(logits, dim=-1)
    scored = [Chosen(prompt[0], None, ())]
    for place, token in enumerate(prompt[1:]):
        values, tokens = torch.topk(rows[place], told) if told else ((), ())
        top = tuple((int(t), float(v)) for t, v in zip(tokens, values, strict=True))
        scored.append(Chosen(token, float(rows[place, token]), top))
    return scored


def _begin(network: Network, ids: Any) -> tuple[dict[str, Any], str]:
    """Return what the first step is given, and the name of what each step adds."""
    if not network.encoder_decoder:
        return {"input_ids": ids}, "input_ids"
    import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

    mask = torch.ones_like(ids)
    with network.turn, torch.inference_mode():
        encoded = network.model.get_encoder()(input_ids=ids, attention_mask=mask)
    first = torch.tensor([[network.start]], device=ids.device)
    given = {"encoder_outputs": encoded, "attention_mask": mask, "decoder_input_ids": first}
    return given, "decoder_input_ids"


def _go_on(answer: Any, given: dict[str, Any], step: str, token: Any) -> tuple[dict[str, Any], str]:
    """Return what the next step is given: one token where the model remembers, else all."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # not in every environment

    memory = getattr(answer, "past_key_values", None)
    if memory is None:
        return {**given, step: torch.cat([given[step], token], dim=1)}, step
    return {**given, step: token, "past_key_values": memory}, step

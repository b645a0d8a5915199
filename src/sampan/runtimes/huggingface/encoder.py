"""Texts in, classes, tokens or vectors out. Forms are KServe's huggingfaceserver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.huggingface.loading import Loaded
from sampan.runtimes.huggingface.settings import Settings
from sampan.runtimes.huggingface.tasks import Task

_DIGITS = 4  # upstream rounds probabilities
_OFFSETS = "offset_mapping"


class Encoder:
    """A loaded model of an encoder's task. Texts that come together are padded to one length."""

    def __init__(self, loaded: Loaded, settings: Settings) -> None:
        self.task = loaded.task
        self._tokenizer = loaded.tokenizer
        self._network = loaded.network
        self._length = loaded.length
        self._settings = settings
        if settings.offsets_mapping and not self._tokenizer.is_fast:
            raise InvalidInput(
                "--return_offsets_mapping needs a fast tokenizer, and the model's is none; leave "
                "it out"
            )

    @property
    def scores_pairs(self) -> bool:
        """Whether it tells how well a text answers another: a classifier of one class."""
        one = int(getattr(self._network.config, "num_labels", 0)) == 1
        return self.task is Task.SEQUENCE_CLASSIFICATION and one

    def answer(self, texts: Sequence[str]) -> dict[str, list[Any]]:
        """Return the outputs by name, a value a text; InvalidInput where one does not fit."""
        encoded = self._encode(texts)
        offsets = encoded.pop(_OFFSETS, None)
        states = self._ask(encoded)
        make = {
            Task.SEQUENCE_CLASSIFICATION: self._classes,
            Task.TOKEN_CLASSIFICATION: self._token_classes,
            Task.FILL_MASK: self._fill,
            Task.TEXT_EMBEDDING: self._vectors,
        }[self.task]
        answers: dict[str, list[Any]] = {"output-0": make(states, encoded)}
        if offsets is not None:
            answers[_OFFSETS] = offsets.tolist()
        return answers

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Return a vector of length 1 a text, and how many tokens the texts have."""
        encoded = self._encode(texts)
        encoded.pop(_OFFSETS, None)
        tokens = int(encoded["attention_mask"].sum())
        return self._vectors(self._ask(encoded), encoded), tokens

    def score(self, query: str, documents: Sequence[str]) -> tuple[list[float], int]:
        """Return how well each document answers, from 0 to 1, and how many tokens were read."""
        if self.scores_pairs:
            import torch  # type: ignore[import-not-found,unused-ignore]  # an optional engine

            encoded = self._encode([query] * len(documents), documents)
            encoded.pop(_OFFSETS, None)
            scores = torch.sigmoid(self._ask(encoded).logits.float()[:, 0]).tolist()
            return scores, int(encoded["attention_mask"].sum())
        vectors, tokens = self.embed([query, *documents])
        made = np.asarray(vectors)
        return [float(value) for value in made[1:] @ made[0]], tokens

    # -- texts to tensors --------------------------------------------------------------------

    def _encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> dict[str, Any]:
        encoded = self._tokenizer(
            list(texts),
            *([list(pairs)] if pairs else []),
            max_length=self._length,
            add_special_tokens=self._settings.special_tokens,
            return_tensors="pt",
            return_token_type_ids=self._settings.token_type_ids or None,
            return_offsets_mapping=self._settings.offsets_mapping,
            padding=True,
            truncation=True,
        )
        if not encoded["input_ids"].numel():
            raise InvalidInput("every text is empty; send at least one with a word in it")
        return dict(encoded)

    def _ask(self, encoded: Mapping[str, Any]) -> Any:
        import torch  # type: ignore[import-not-found,unused-ignore]  # an optional engine

        device = self._network.device
        with torch.inference_mode():
            return self._network(**{name: value.to(device) for name, value in encoded.items()})

    # -- tensors to answers ------------------------------------------------------------------

    def _classes(self, states: Any, encoded: Mapping[str, Any]) -> list[Any]:
        del encoded
        if not self._tells_scores():
            classes: list[Any] = states.logits.argmax(dim=1).tolist()
            return classes
        return [self._by_class(row) for row in self._scores(states.logits)]

    def _token_classes(self, states: Any, encoded: Mapping[str, Any]) -> list[Any]:
        del encoded
        if not self._tells_scores():
            return [[row] for row in states.logits.argmax(dim=2).tolist()]
        return [[self._by_class(token) for token in row] for row in self._scores(states.logits)]

    def _fill(self, states: Any, encoded: Mapping[str, Any]) -> list[Any]:
        mask = self._tokenizer.mask_token_id
        filled: list[Any] = []
        for number, ids in enumerate(encoded["input_ids"]):
            places = (ids == mask).nonzero(as_tuple=True)[0]
            if not len(places):
                raise InvalidInput(
                    f'text {number} has no "{self._tokenizer.mask_token}"; put one where a word is '
                    "to be found"
                )
            logits = states.logits[number, places.to(states.logits.device)]
            if self._settings.probabilities:
                rows = self._scores(logits)
                filled.append([{i: f"{p:.4f}" for i, p in enumerate(row)} for row in rows])
            elif self._settings.raw_logits:
                filled.append([self._by_class(row) for row in self._scores(logits)])
            else:
                filled.append(self._tokenizer.decode(logits.argmax(dim=1)))
        return filled

    def _vectors(self, states: Any, encoded: Mapping[str, Any]) -> list[list[float]]:
        import torch  # type: ignore[import-not-found,unused-ignore]  # an optional engine

        hidden = states.last_hidden_state.float()
        mask = encoded["attention_mask"].to(hidden.device).unsqueeze(-1).float()
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        vectors: list[list[float]] = torch.nn.functional.normalize(mean, dim=1).tolist()
        return vectors

    def _tells_scores(self) -> bool:
        return self._settings.probabilities or self._settings.raw_logits

    def _scores(self, logits: Any) -> Any:
        """Return logits, or the probabilities of them, as nested lists."""
        logits = logits.float()
        return (logits.softmax(dim=-1) if self._settings.probabilities else logits).tolist()

    def _by_class(self, scores: Sequence[float]) -> dict[int, float]:
        if self._settings.raw_logits:
            return dict(enumerate(scores))
        return {i: round(score, _DIGITS) for i, score in enumerate(scores)}

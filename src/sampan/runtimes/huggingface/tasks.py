"""What a model is for: said by --task, or by the name of its architecture. Pure.

KServe's huggingfaceserver, `task.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from sampan.machinery.suggest import did_you_mean
from sampan.server.load_failure import LoadFailure


class Task(Enum):
    """The tasks that are served; names are upstream's values of --task."""

    SEQUENCE_CLASSIFICATION = "sequence_classification"
    TOKEN_CLASSIFICATION = "token_classification"  # noqa: S105  # a task, not a secret
    FILL_MASK = "fill_mask"
    TEXT_EMBEDDING = "text_embedding"
    TEXT_GENERATION = "text_generation"
    TEXT2TEXT_GENERATION = "text2text_generation"

    @property
    def generative(self) -> bool:
        """Whether it makes text, which is asked for over OpenAI's routes."""
        return self in {Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION}


_SUFFIXES = (
    ("ForTokenClassification", Task.TOKEN_CLASSIFICATION),
    ("ForSequenceClassification", Task.SEQUENCE_CLASSIFICATION),
    ("ForMaskedLM", Task.FILL_MASK),
    ("ForCausalLM", Task.TEXT_GENERATION),
    ("LMHeadModel", Task.TEXT_GENERATION),  # GPT-2's name, from before there was a rule
    ("ForConditionalGeneration", Task.TEXT2TEXT_GENERATION),
    ("MTModel", Task.TEXT2TEXT_GENERATION),
    ("EncoderDecoderModel", Task.TEXT2TEXT_GENERATION),
)
_NOT_SERVED = ("ForQuestionAnswering", "ForMultipleChoice", "ForPrediction")


_VLLMS = {
    "embed": Task.TEXT_EMBEDDING,
    "classify": Task.SEQUENCE_CLASSIFICATION,
    "generate": Task.TEXT_GENERATION,
}
"""vLLM's words, which KServe's server passes on to it."""


def read_task(value: str) -> Task:
    """Return the task of a name, upstream's or vLLM's; LoadFailure lists those that are served."""
    if value in _VLLMS:
        return _VLLMS[value]
    known = [task.value for task in Task]
    if value not in known:
        raise LoadFailure(
            "ModelIncompatible",
            f'task "{value}" is not served{did_you_mean(value, known)}; '
            f"set --task to one of {', '.join(known)}",
        )
    return Task(value)


def select_task(config: Mapping[str, Any], asked: str) -> Task:
    """Return the task that was asked for, else the one that `architectures` tells."""
    if asked:
        return read_task(asked)
    architectures: Sequence[str] = config.get("architectures") or ()
    first = architectures[0] if architectures else ""
    for suffix, task in _SUFFIXES:
        if first.endswith(suffix):
            return task
    listed = ", ".join(task.value for task in Task)
    if first.endswith(_NOT_SERVED):
        raise LoadFailure(
            "ModelIncompatible",
            f'architecture "{first}" is for a task that is not served; served are {listed}',
        )
    raise LoadFailure(
        "ModelIncompatible",
        f"Task couldn't be inferred from {first or 'a config.json without architectures'}. "
        f"Please manually set `task` option: --task, one of {listed}",
    )

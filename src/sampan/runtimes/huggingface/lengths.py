"""How many tokens a model takes. Pure. KServe's huggingfaceserver, `utils.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.server.load_failure import LoadFailure

ALLOW_LONGER = "ALLOW_LONG_MAX_MODEL_LEN"
"""The variable that lets a person ask for more than the configuration tells."""

_KEYS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
_USUAL = 2048


def select_length(config: Mapping[str, Any], asked: int, *, longer: bool) -> int:
    """Return the most tokens; LoadFailure where more are asked for than the model has places."""
    told = [config[key] for key in _KEYS if isinstance(config.get(key), int)]
    most = min((value for value in told if value > 0), default=0)
    if not asked:
        return most or _USUAL
    if most and asked > most and not longer:
        raise LoadFailure(
            "ModelIncompatible",
            f"--max_model_len is {asked}, and the model's configuration tells {most}; give at most "
            f"{most}, or set {ALLOW_LONGER}=1, which may make wrong answers",
        )
    return asked

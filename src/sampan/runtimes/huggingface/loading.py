"""A folder, or a name of the Hub, as tokenizer and network of transformers.

Code that a model brings is run only where the operator trusts the model; weights are safetensors,
or pickles that torch reads as nothing but tensors.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.runtimes.huggingface.lengths import ALLOW_LONGER, select_length
from sampan.runtimes.huggingface.settings import Settings
from sampan.runtimes.huggingface.tasks import Task, select_task
from sampan.server.load_failure import LoadFailure, missing_package

_CLASSES = {
    Task.SEQUENCE_CLASSIFICATION: "AutoModelForSequenceClassification",
    Task.TOKEN_CLASSIFICATION: "AutoModelForTokenClassification",
    Task.FILL_MASK: "AutoModelForMaskedLM",
    Task.TEXT_EMBEDDING: "AutoModel",
    Task.TEXT_GENERATION: "AutoModelForCausalLM",
    Task.TEXT2TEXT_GENERATION: "AutoModelForSeq2SeqLM",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory. `length` is the most tokens it takes."""

    task: Task
    tokenizer: Any
    network: Any
    length: int


def load(folder: Path, settings: Settings, *, trust: bool) -> Loaded:
    """Load what the settings name; LoadFailure tells what is wrong with it."""
    if settings.trust_remote_code and not trust:
        raise LoadFailure(
            "ModelUntrusted",
            "--trust_remote_code runs code that the model brings; if you trust where it comes "
            'from, set the annotation serving.sampan.dev/trust: "true" (or start the server with '
            "--trust)",
        )
    try:
        import transformers  # type: ignore[import-not-found,unused-ignore]  # an optional engine
    except ImportError as error:
        raise missing_package("transformers", error, "transformers and torch") from None
    source = settings.model_id or str(folder)
    if not settings.model_id:
        validate_folder(folder)
    asked: dict[str, Any] = {
        "trust_remote_code": settings.trust_remote_code,
        "revision": settings.model_revision or "main",
        "local_files_only": not settings.model_id,
    }
    try:
        return _load(transformers, source, asked, settings)
    except LoadFailure:
        raise
    except ImportError as error:  # a tokenizer's or a model's own package
        raise missing_package("what the model needs", error, "what it names") from None
    except Exception as error:
        raise explain(source, error) from error


def _load(transformers: Any, source: str, asked: dict[str, Any], settings: Settings) -> Loaded:
    import torch  # type: ignore[import-not-found,unused-ignore]  # an optional engine

    config = transformers.AutoConfig.from_pretrained(source, **asked)
    told: JsonObject = config.to_dict()
    task = select_task(told, settings.task)
    length = select_length(told, settings.max_model_len, longer=os.environ.get(ALLOW_LONGER) == "1")
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        source,
        **{**asked, "revision": settings.tokenizer_revision or asked["revision"]},
        do_lower_case=settings.lower_case,
    )
    made = getattr(transformers, _CLASSES[task]).from_pretrained(
        source, config=config, dtype=_select_dtype(torch, config, settings.dtype), **asked
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Loaded(task, tokenizer, made.to(device).eval(), length)


def _select_dtype(torch: Any, config: Any, asked: str) -> Any:
    """Return the model's own numbers, else half precision on a GPU and single on a CPU."""
    if asked != "auto":
        return getattr(torch, asked)
    own = getattr(config, "dtype", None)
    if own is not None:
        return own if not isinstance(own, str) else getattr(torch, own)
    return torch.float16 if torch.cuda.is_available() else torch.float32


def validate_folder(folder: Path) -> None:
    """Raise LoadFailure for what is no folder of a model."""
    file = folder / "config.json"
    if not folder.is_dir():
        raise LoadFailure(
            "ModelMissing",
            f'model folder "{folder}" does not exist; give the folder that holds config.json, or '
            "--model_id",
        )
    if not file.is_file():
        names = ", ".join(f'"{path.name}"' for path in sorted(folder.iterdir())[:5]) or "nothing"
        raise LoadFailure(
            "ModelMissing",
            f'no "config.json" in "{folder}", which holds {names}; save the model with '
            "save_pretrained",
        )
    try:
        json.loads(file.read_bytes())
    except ValueError as error:
        raise LoadFailure(
            "ModelCorrupt", f'"{file}" is no JSON ({error}); save the model with save_pretrained'
        ) from None


def explain(source: str, error: Exception) -> LoadFailure:
    """Return the failure behind what transformers raises."""
    text = f"{type(error).__name__}: {error}"
    if "trust_remote_code" in text:
        return LoadFailure(
            "ModelUntrusted",
            f'model "{source}" brings code of its own; if you trust where it comes from, give '
            '--trust_remote_code and set the annotation serving.sampan.dev/trust: "true" (or start '
            "the server with --trust)",
        )
    if isinstance(error, UnpicklingError):
        first = text.splitlines()[0]
        return LoadFailure(
            "ModelUntrusted",
            f'model "{source}" has weights in a pickle that holds more than numbers ({first}); '
            "save it again with save_pretrained, which writes safetensors",
        )
    return LoadFailure(
        "ModelLoadFailed",
        f'model "{source}": {text}; save model and tokenizer with save_pretrained, in a version '
        "of transformers that this environment's reads",
    )

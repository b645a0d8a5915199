"""What a project says of a pipeline of transformers: `parameters.extra`, else the environment.

Names and precedence are those of mlserver_huggingface's `HuggingFaceSettings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean
from sampan.runtimes.mlserver.settings import ModelSettings
from sampan.server.load_failure import LoadFailure

_PREFIX = "MLSERVER_MODEL_HUGGINGFACE_"
TEXT_TASKS = frozenset(
    {
        "feature-extraction", "fill-mask", "ner", "question-answering", "sentiment-analysis",
        "summarization", "text-classification", "text-generation", "text2text-generation",
        "token-classification", "translation", "zero-shot-classification",
    }
)  # fmt: skip
"""Tasks of texts. Those of images and sounds take paths and addresses from whoever asks."""
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "task": str,
    "task_suffix": str,
    "pretrained_model": str,
    "pretrained_tokenizer": str,
    "framework": str,
    "model_kwargs": dict,
    "optimum_model": bool,
    "device": (int, str),
    "inter_op_threads": int,
    "intra_op_threads": int,
}
_SAFE_KWARGS = frozenset(
    {"dtype", "torch_dtype", "low_cpu_mem_usage", "revision", "use_safetensors", "variant"}
)
"""What `model_kwargs` may hold without trust: others load code or pickles, or could."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """A pipeline. Of `model` and `tokenizer` each is a folder or a name of the Hub."""

    task: str
    model: str
    tokenizer: str
    device: int | str | None = None
    threads: int | None = None
    threads_between: int | None = None
    model_kwargs: JsonObject = field(default_factory=dict)
    batch_size: int = 1
    warnings: tuple[str, ...] = ()


def make_pipeline_settings(
    settings: ModelSettings, root: Path, environ: Mapping[str, str], *, trust: bool
) -> PipelineSettings:
    """Return what the project says; LoadFailure names the field, its value and the mend."""
    extra = (settings.document.get("parameters") or {}).get("extra") or {}
    if not isinstance(extra, dict):
        raise _wrong("extra", extra, "give an object")
    said = {**_read_environment(environ), **extra}
    for name, value in said.items():
        _validate_field(name, value)
    if said.get("framework") not in {None, "pt"}:
        raise _wrong("framework", said["framework"], 'PyTorch runs models here: give "pt"')
    kwargs = said.get("model_kwargs") or {}
    if not trust:
        _validate_kwargs(kwargs)
    model = said.get("pretrained_model") or ""
    tokenizer = said.get("pretrained_tokenizer") or model
    return PipelineSettings(
        _select_task(said),
        _select_source(model, settings, root, trust=trust),
        _select_source(tokenizer, settings, root, trust=trust),
        said.get("device"),
        said.get("intra_op_threads"),
        said.get("inter_op_threads"),
        kwargs,
        int(settings.max_batch_size) or 1,
        tuple(_warnings(said, settings)),
    )


def _read_environment(environ: Mapping[str, str]) -> JsonObject:
    """Return the fields that variables name; what is no text is JSON."""
    made: JsonObject = {}
    for name, kind in _FIELDS.items():
        text = environ.get(_PREFIX + name.upper())
        if text is None:
            continue
        try:
            made[name] = text if kind is str else json.loads(text)
        except ValueError:
            made[name] = text
    return made


def _validate_field(name: str, value: Any) -> None:
    kind = _FIELDS.get(name)
    if kind is None:
        raise _wrong(name, value, f"there is no such field{did_you_mean(name, _FIELDS)}")
    truth_for_number = isinstance(value, bool) and kind is not bool
    if value is not None and (truth_for_number or not isinstance(value, kind)):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise _wrong(name, value, f"give {' or '.join(one.__name__ for one in kinds)}")


def _select_task(said: JsonObject) -> str:
    """Return the task; LoadFailure for none, and for one that is not of texts."""
    task = said.get("task") or ""
    if task not in TEXT_TASKS:
        known = ", ".join(sorted(TEXT_TASKS))
        raise _wrong("task", task, f"give one of {known}{did_you_mean(task, TEXT_TASKS)}")
    return f"{task}{said.get('task_suffix') or ''}" if task == "translation" else str(task)


def _select_source(value: str, settings: ModelSettings, root: Path, *, trust: bool) -> str:
    """Return a folder's path, or the name of the Hub; the model's own folder where none is said."""
    if not value:
        return str(settings.uri)
    base = settings.source.parent if settings.source is not None else root
    path = base / value
    if not path.exists() and not value.startswith(("/", ".", "~")):
        return value
    if not trust and not path.resolve().is_relative_to(root.resolve()):
        raise LoadFailure(
            "ModelUntrusted",
            f'parameters.extra: "{value}" leaves the project; put the model into it, or set the '
            'annotation serving.sampan.dev/trust: "true" if you trust where it comes from',
        )
    if not path.is_dir():
        raise LoadFailure(
            "ModelMissing",
            f'parameters.extra: no folder "{value}" in the project; put there what '
            "save_pretrained writes, or give a name of the Hub",
        )
    return str(path)


def _validate_kwargs(kwargs: JsonObject) -> None:
    for name, value in kwargs.items():
        if name not in _SAFE_KWARGS:
            raise LoadFailure(
                "ModelUntrusted",
                f'parameters.extra.model_kwargs: "{name}" is {value!r:.80}, and such options are '
                "passed on only where the model is trusted; if you trust where it comes from, set "
                'the annotation serving.sampan.dev/trust: "true" (or start the server with '
                f"--trust); without it there are {', '.join(sorted(_SAFE_KWARGS))}",
            )


def _warnings(said: JsonObject, settings: ModelSettings) -> list[str]:
    made = []
    if said.get("optimum_model"):
        made.append("optimum_model is not honoured: PyTorch runs the model")
    if settings.max_batch_time:
        made.append(
            "max_batch_time is not honoured: requests to a pipeline are not gathered; send several "
            "texts in one"
        )
    return made


def _wrong(name: str, value: Any, mend: str) -> LoadFailure:
    return LoadFailure(
        "ModelIncompatible", f"parameters.extra.{name} is {value!r:.80}; {mend}".rstrip()
    )

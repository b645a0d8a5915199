"""The arguments of huggingfaceserver as a value. Pure.

KServe's huggingfaceserver, `__main__.py`: an argument of its own may also be one of vLLM's, which
has no effect with transformers and is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.runtimes.serving import Translated

DTYPES = {
    "auto": "auto",
    "float16": "float16",
    "half": "float16",
    "float32": "float32",
    "float": "float32",
    "bfloat16": "bfloat16",
}
"""Upstream's words for the numbers of a model, and torch's."""

_VALUES = frozenset(
    {"model_id", "model_revision", "tokenizer_revision", "max_model_len", "max_length", "task",
     "dtype", "backend", "tensor_input_names", "max_log_len", "served_model_name",
     "predictor_host"}
)  # fmt: skip
_FLAGS = frozenset(
    {"disable_lower_case", "disable_special_tokens", "trust_remote_code", "return_token_type_ids",
     "return_offsets_mapping", "return_probabilities", "return_raw_logits", "disable_log_requests"}
)  # fmt: skip
_NO_EFFECT = {
    "tensor_input_names": "it names the tensors of a predictor behind this server; this model "
    "predicts itself",
    "max_log_len": "requests are not logged",
}
_PREDICTOR = (
    'argument "--predictor_host" is "{value}": a Hugging Face server that makes tokens for a '
    "predictor behind it is not built; leave the transformer out and serve the model itself, by "
    'modelFormat.name "huggingface", or make the transformer a kserve.Model of your own'
)
_WORDS = frozenset({"huggingfaceserver", "python", "python3", "-m"})
_BACKENDS = frozenset({"auto", "huggingface", "vllm"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for. `max_model_len` 0: what the model's configuration tells."""

    model_id: str = ""
    model_revision: str | None = None
    tokenizer_revision: str | None = None
    max_model_len: int = 0
    task: str = ""
    dtype: str = "auto"
    lower_case: bool = True
    special_tokens: bool = True
    token_type_ids: bool = False
    offsets_mapping: bool = False
    probabilities: bool = False
    raw_logits: bool = False
    trust_remote_code: bool = False


def translate(argv: Sequence[str]) -> Translated:
    """Return the arguments of huggingfaceserver in ours; ValueError where a value is missing, or
    where it would ask a predictor: this model would answer in its place.
    """
    made: list[str] = []
    warnings: list[str] = []
    words = iter(word for word in argv if word not in _WORDS)
    for word in words:
        name, equals, value = word.partition("=")
        plain = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or plain not in _VALUES | _FLAGS:
            made.append(word)
        elif plain in _FLAGS:
            made.append(f"--server_option={plain}={value or 'true'}")
        else:
            value = value if equals else next(words, "")
            if not value:
                raise ValueError(f'argument "{name}" has no value; write {name}=VALUE')
            if plain == "predictor_host":
                raise ValueError(_PREDICTOR.format(value=value))
            if plain in _NO_EFFECT:
                warnings.append(f'argument "{name}" is not honoured: {_NO_EFFECT[plain]}')
            elif plain == "served_model_name":
                made.append(f"--model_name={value.split()[0]}")
            else:
                made.append(f"--server_option={plain}={value}")
    return Translated(tuple(made), tuple(warnings))


def make_settings(options: Mapping[str, str]) -> Settings:
    """Return the settings of options; ValueError names what is wrong with one."""
    given = {name: value.rpartition(",")[2] for name, value in options.items()}  # the last counts
    backend = given.get("backend", "auto")
    if backend not in _BACKENDS:
        raise ValueError(f'--backend is "{backend}"; use auto or huggingface')
    if backend == "vllm":
        raise ValueError(
            '--backend is "vllm", which is a runtime of its own here; set modelFormat.name to '
            '"vLLM", or leave --backend out'
        )
    dtype = given.get("dtype", "auto")
    if dtype not in DTYPES:
        raise ValueError(f'--dtype is "{dtype}"; use one of {", ".join(DTYPES)}')
    flags = {name: given.get(name) == "true" for name in _FLAGS}
    if flags["return_probabilities"] and flags["return_raw_logits"]:
        raise ValueError(
            "--return_probabilities and --return_raw_logits exclude each other; leave out one"
        )
    return Settings(
        model_id=given.get("model_id", ""),
        model_revision=given.get("model_revision"),
        tokenizer_revision=given.get("tokenizer_revision"),
        max_model_len=_whole(given, "max_model_len") or _whole(given, "max_length"),
        task=given.get("task", ""),
        dtype=DTYPES[dtype],
        lower_case=not flags["disable_lower_case"],
        special_tokens=not flags["disable_special_tokens"],
        token_type_ids=flags["return_token_type_ids"],
        offsets_mapping=flags["return_offsets_mapping"],
        probabilities=flags["return_probabilities"],
        raw_logits=flags["return_raw_logits"],
        trust_remote_code=flags["trust_remote_code"],
    )


def _whole(given: Mapping[str, str], name: str) -> int:
    value = given.get(name)
    if value is None:
        return 0
    if not value.isdecimal() or not int(value):
        raise ValueError(f'--{name} is "{value}"; give a whole number from 1')
    return int(value)

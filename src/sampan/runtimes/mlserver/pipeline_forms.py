"""From V2's tensors to a pipeline's arguments by MLServer's content types, and back. Pure."""

from __future__ import annotations

import json
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferOutput, InferRequest

OUTPUT = "output"
_LIST_OF_JSON = "hg_jsonlist"
TEXTS = ("args", "array_inputs")
"""Names of the inputs that are a pipeline's first argument; each other is a keyword."""
KEYWORDS = frozenset(
    {
        # what is asked
        "question", "context", "sequences", "candidate_labels", "hypothesis_template",
        "multi_label", "targets", "src_lang", "tgt_lang",
        # how texts are cut
        "truncation", "padding", "max_length", "stride", "doc_stride", "max_seq_len",
        "max_question_len", "handle_long_generation",
        # how text is made
        "max_new_tokens", "min_new_tokens", "min_length", "do_sample", "temperature", "top_k",
        "top_p", "typical_p", "num_beams", "num_return_sequences", "repetition_penalty",
        "no_repeat_ngram_size", "length_penalty", "early_stopping", "stop_sequence",
        "eos_token_id", "pad_token_id",
        # what is told
        "return_full_text", "return_text", "clean_up_tokenization_spaces", "prefix",
        "return_all_scores", "function_to_apply", "aggregation_strategy", "grouped_entities",
        "ignore_labels", "max_answer_len", "handle_impossible_answer", "align_to_words",
    }
)  # fmt: skip
"""Keywords that a request may give. Others could load code or weights of the asker's choice."""
_CONTENT_TYPES = ("str", "raw", "np", "hg_json", _LIST_OF_JSON)


def make_arguments(payload: InferRequest) -> tuple[list[Any], JsonObject]:
    """Return the arguments by place and by name; InvalidInput names the input at fault.

    Several `args` are one batch, as `array_inputs` are.
    """
    default = str((payload.parameters or {}).get("content_type") or "")
    by_name: JsonObject = {}
    for tensor in payload.inputs:
        if tensor.name not in KEYWORDS and tensor.name not in TEXTS:
            known = sorted({*TEXTS, *KEYWORDS})
            raise InvalidInput(
                f'input "{tensor.name}" is no argument of a pipeline here'
                f"{did_you_mean(tensor.name, known)}; send {', '.join(known)}"
            )
        by_name[tensor.name] = _decode(tensor, default)
    args, batch = (by_name.pop(name, None) for name in TEXTS)
    first = [*_listed(batch), *_listed(args)]
    if not first:
        return [], by_name
    return [first[0] if batch is None and len(first) == 1 else first], by_name


def make_output(answer: Any) -> InferOutput:
    """Return a pipeline's answer as MLServer's one output: a JSON text an element."""
    elements = answer if isinstance(answer, list) else [answer]
    texts = [json.dumps(element, default=_plain) for element in elements]
    return InferOutput(OUTPUT, [len(texts), 1], "BYTES", texts, {"content_type": _LIST_OF_JSON})


def _decode(tensor: InferInput, default: str) -> Any:
    """Return a tensor's value by its content type, else the request's, else as texts."""
    own = str((tensor.parameters or {}).get("content_type") or "")
    kind = own or (default if default in _CONTENT_TYPES else "str")
    if kind not in _CONTENT_TYPES:
        raise InvalidInput(
            f'input "{tensor.name}" has content_type "{kind}"; send one of '
            f"{', '.join(_CONTENT_TYPES)}"
        )
    if kind == "np":
        return tensor.as_numpy().tolist()
    if kind == "raw":
        return _lone(tensor, tensor.as_numpy().ravel().tolist())
    if tensor.datatype != "BYTES":
        raise InvalidInput(
            f'input "{tensor.name}" is {tensor.datatype}, and content_type "{kind}" is of BYTES; '
            'send texts, or a number with content_type "raw"'
        )
    texts = tensor.as_string()
    if kind == "str":
        return texts
    values = [_parse(tensor.name, text) for text in texts]
    return values if kind == _LIST_OF_JSON else _lone(tensor, values)


def _lone(tensor: InferInput, values: list[Any]) -> Any:
    if len(values) != 1:
        raise InvalidInput(
            f'input "{tensor.name}" has {len(values)} elements, and its content_type is of one; '
            "send one"
        )
    value = values[0]
    return value.decode() if isinstance(value, bytes) else value


def _parse(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f'input "{name}" is no JSON: {error}; mend the text') from None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """Return NumPy's and PyTorch's values as JSON has them."""
    return value.tolist()

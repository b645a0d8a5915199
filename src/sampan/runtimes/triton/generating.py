"""The generate extension with a configuration: fields become the inputs that it names. Pure.

A field that is no input is a parameter of the request; numbers get the input's datatype, and a
batch's first size where the model has batches (Triton, "Generate Extension").
"""

from __future__ import annotations

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.json_tensors import as_datatype, make_array
from sampan.runtimes.triton.config import ModelConfig


def type_fields(request: InferRequest, config: ModelConfig) -> InferRequest:
    """Return the request that a model takes, of one whose fields were typed by their JSON.

    InvalidInput names a list that is no input: a parameter is one value.
    """
    specs = {spec.name: spec for spec in config.inputs}
    parameters = dict(request.parameters or {})
    inputs = []
    for tensor in request.inputs:
        spec = specs.get(tensor.name)
        values = list(tensor.data or ())
        if spec is None:
            if len(values) != 1:
                raise InvalidInput(
                    f"field '{tensor.name}' is no input of model '{config.name}', and a parameter "
                    f"is one value; the inputs are {', '.join(specs)}"
                )
            parameters[tensor.name] = values[0]
            continue
        typed = as_datatype(make_array(tensor.name, values), spec.datatype)
        if config.batched:
            typed = typed[None]
        made = InferInput(tensor.name, list(typed.shape), spec.datatype)
        made.set_array(typed)
        inputs.append(made)
    return InferRequest(request.model_name, inputs, request.id, parameters=parameters or None)

"""`triton_python_backend_utils`: what models of the backend "python" import. Names are Triton's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.protocol.datatypes import NUMPY_NAMES, from_np_dtype

Infer: TypeAlias = Callable[[str, str, Mapping[str, Any], Sequence[str]], Mapping[str, Any]]
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
current_infer: ContextVar[Infer] = ContextVar("current_infer")
"""What asks other models of the repository, for the model that runs."""


class TritonModelException(Exception):
    """What a model raises to say that a request cannot be answered."""


class TritonError:
    """An error as a value, for the response it belongs to."""

    def __init__(self, message: str, code: int = 0) -> None:
        self._message = message
        self._code = code

    def message(self) -> str:
        """Return its text."""
        return self._message

    def code(self) -> int:
        """Return its number."""
        return self._code


class Tensor:
    """A name and an array."""

    def __init__(self, name: str, array: Any) -> None:
        self._name = name
        self._array = array

    def name(self) -> str:
        """Return the name."""
        return self._name

    def as_numpy(self) -> Any:
        """Return the array."""
        return self._array

    def shape(self) -> list[int]:
        """Return the sizes."""
        return list(self._array.shape)

    def is_cpu(self) -> bool:
        """Whether the array is in the machine's memory: always."""
        return True

    def triton_dtype(self) -> int:
        """Return the number of the datatype."""
        datatype = from_np_dtype(self._array.dtype) or ""
        return 13 if datatype == "BYTES" else _ORDER.index(datatype)


_ORDER = ("", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
          "FP16", "FP32", "FP64")  # fmt: skip


class InferenceResponse:
    """The outputs of one request, or its error."""

    def __init__(
        self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None
    ) -> None:
        self._tensors = list(output_tensors)
        self._error = error

    def output_tensors(self) -> list[Tensor]:
        """Return the outputs."""
        return self._tensors

    def has_error(self) -> bool:
        """Whether there is an error in the place of outputs."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """Return the error."""
        return self._error


class InferenceRequest:
    """One request: to this model, or by `exec` to another of the repository."""

    def __init__(
        self,
        request_id: str = "",
        correlation_id: int | str = 0,
        inputs: Sequence[Tensor] = (),
        requested_output_names: Sequence[str] = (),
        model_name: str = "",
        model_version: int = -1,
    ) -> None:
        self._sender: Any = None
        self._flags = 0
        self._id = request_id
        self._correlation_id = correlation_id
        self._inputs = list(inputs)
        self._outputs = list(requested_output_names)
        self._model = model_name
        self._version = model_version

    def request_id(self) -> str:
        """Return the client's id; empty for requests that were joined."""
        return self._id

    def correlation_id(self) -> int | str:
        """Return the id of a sequence; 0 of a request that is of none."""
        return self._correlation_id

    def flags(self) -> int:
        """Return whether it starts (1) or ends (2) its sequence."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """Say whether it starts or ends its sequence."""
        self._flags = flags

    def get_response_sender(self) -> Any:
        """Return what a decoupled model sends its responses by."""
        if self._sender is None:
            raise TritonModelException(
                "there is no response sender: the model's model_transaction_policy is not "
                "decoupled; return the response from execute"
            )
        return self._sender

    def is_cancelled(self) -> bool:
        """Whether the client has left; of a model that answers once nobody can tell."""
        return self._sender is not None and bool(self._sender.is_cancelled())

    def inputs(self) -> list[Tensor]:
        """Return the inputs."""
        return self._inputs

    def requested_output_names(self) -> list[str]:
        """Return the outputs that are asked for."""
        return self._outputs

    def exec(self) -> InferenceResponse:
        """Ask the model named in the request, and wait (business logic scripting)."""
        given = {tensor.name(): tensor.as_numpy() for tensor in self._inputs}
        version = "" if self._version < 0 else str(self._version)
        try:
            arrays = current_infer.get()(self._model, version, given, self._outputs)
        except Exception as error:  # noqa: BLE001  # the model decides what becomes of it
            return InferenceResponse(error=TritonError(str(error)))
        return InferenceResponse([Tensor(name, array) for name, array in arrays.items()])


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    """Return an input by name, or None."""
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | None:
    """Return an output by name, or None."""
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)


def get_input_config_by_name(model_config: JsonObject, name: str) -> JsonObject | None:
    """Return an input's configuration by name, or None."""
    return next((item for item in model_config["input"] if item["name"] == name), None)


def get_output_config_by_name(model_config: JsonObject, name: str) -> JsonObject | None:
    """Return an output's configuration by name, or None."""
    return next((item for item in model_config["output"] if item["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: JsonObject) -> bool:
    """Whether a model answers a request more than once."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled"))


def triton_string_to_numpy(triton_type_string: str) -> Any:
    """Return the NumPy type of a `TYPE_...`."""
    import numpy as np

    name = triton_type_string.removeprefix("TYPE_")
    return np.object_ if name == "STRING" else np.dtype(NUMPY_NAMES[name]).type


def serialize_byte_tensor(input_tensor: Any) -> Any:
    """Return an array of bytes or text in V2's raw form, as an array of one element."""
    import numpy as np

    from sampan.protocol.bytes_tensor import serialize_byte_tensor as serialize

    raw = serialize(v if isinstance(v, bytes) else str(v) for v in input_tensor.ravel())
    made = np.empty(1, dtype=object)
    made[0] = bytes(raw)
    return made


class Logger:
    """Triton's logger: lines at its four levels."""

    @staticmethod
    def _log(level: str, message: str) -> None:
        import logging

        getattr(logging.getLogger("sampan.runtimes.triton.python"), level)("%s", message)

    @classmethod
    def log_info(cls, message: str) -> None:
        """Log what is worth knowing."""
        cls._log("info", message)

    @classmethod
    def log_warn(cls, message: str) -> None:
        """Log what may be wrong."""
        cls._log("warning", message)

    @classmethod
    def log_error(cls, message: str) -> None:
        """Log what went wrong."""
        cls._log("error", message)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        """Log details."""
        cls._log("debug", message)

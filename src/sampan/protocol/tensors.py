"""Tensors, requests and responses of KServe V2, free of any transport.

Names and members are those of KServe's SDK (`InferInput`, `InferRequest`, ...). Raw contents stay
views until someone asks for a list, so a binary tensor reaches the model without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from sampan.protocol.bytes_tensor import deserialize_bytes_tensor
from sampan.protocol.datatypes import NUMPY_NAMES, from_np_dtype, to_np_dtype
from sampan.protocol.errors import InferenceError, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Parameters: TypeAlias = "dict[str, str | int | float | bool]"


REGION = "shared_memory_region"
"""The parameter of a tensor whose contents lie in memory that client and server share (Triton,
"Shared-Memory Extension")."""


class InferTensor:
    """What inputs and outputs share: name, shape, datatype, parameters and contents.

    Contents are one of: `data` (a list, nested or flat), raw bytes, or a NumPy array.
    """

    __slots__ = (
        "_array",
        "_binary",
        "_data",
        "_list",
        "_raw",
        "datatype",
        "name",
        "parameters",
        "shape",
    )

    def __init__(
        self,
        name: str,
        shape: list[int],
        datatype: str,
        data: list[Any] | None = None,
        parameters: Parameters | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.datatype = datatype.upper()
        self.parameters = parameters
        self._data = data
        self._raw: memoryview | None = None
        self._array: npt.NDArray[Any] | None = None
        self._list: Callable[[], list[Any]] | None = None  # makes the list of an array's numbers
        self._binary = False

    @property
    def data(self) -> list[Any] | None:
        """The contents as a list (flat, unless it was sent nested), or None when there are none."""
        if self._data is None and self._list is not None:
            self._data = self._list()
        if self._data is None and (self._raw is not None or self._array is not None):
            self._data = listed(self.as_numpy().ravel())
        return self._data

    @data.setter
    def data(self, data: list[Any]) -> None:
        self._data, self._raw, self._array, self._binary = data, None, None, False
        self._list = None

    @property
    def sends_raw(self) -> bool:
        """Whether a client sends the contents raw: asked for so, or JSON cannot carry them."""
        return self._binary or self.datatype == "FP16"

    @property
    def has_contents(self) -> bool:
        """Whether contents were given in any form."""
        return self._data is not None or self._raw is not None or self._array is not None

    @property
    def elsewhere(self) -> bool:
        """Whether the contents lie in shared memory, and not with the message."""
        return REGION in (self.parameters or ()) and not self.has_contents

    @property
    def form(self) -> str:
        """How the contents were given: `raw`, `flat` or `nested` list, or `array`."""
        if self._data is not None:
            return "nested" if self._data and isinstance(self._data[0], list) else "flat"
        if self._list is not None:
            return "flat"
        return "raw" if self._raw is not None else "array"

    def set_array(self, array: npt.NDArray[Any], data: list[Any] | None = None) -> None:
        """Take an array that is known to fit, and the list of the same contents where there is one.

        Unlike `set_data_from_numpy` it checks nothing: for what was checked part by part.
        """
        self._array, self._data, self._raw, self._list = array, data, None, None

    def set_sent_array(self, array: npt.NDArray[Any], make_list: Callable[[], list[Any]]) -> None:
        """Take an array that is known to fit, of a flat list that is made when it is asked for."""
        self.set_array(array)
        self._list = make_list

    def set_raw(self, raw: memoryview) -> None:
        """Take raw contents: little-endian, row-major; BYTES as `bytes_tensor` tells."""
        self._raw, self._data, self._array, self._list = raw, None, None, None

    def as_numpy(self) -> npt.NDArray[Any]:
        """Return the contents as an array of `shape`; InvalidInput where they do not fit.

        The array may be read-only: it may look into the bytes of the request.
        """
        if self._array is None:
            self._array = self._build_array()
        return self._array

    def _build_array(self) -> npt.NDArray[Any]:
        import numpy as np

        dtype = to_np_dtype(self.datatype)
        if dtype is None:
            raise InvalidInput(
                f"invalid datatype {self.datatype} in the input '{self.name}'; "
                f"use one of {', '.join(NUMPY_NAMES)}"
            )
        if self.elsewhere:
            raise InvalidInput(
                f'input "{self.name}" lies in shared memory, which is not read here; send its data'
            )
        if self._raw is None and self._data is None:
            raise InvalidInput(f"'data' field is missing for input '{self.name}'")
        try:
            if self._raw is None:
                flat = np.array(self._data, dtype=dtype)
            elif dtype.hasobject:
                flat = np.array(deserialize_bytes_tensor(self._raw), dtype=dtype)
            else:
                flat = np.frombuffer(self._raw, dtype=dtype.newbyteorder("<"))
            return flat.reshape(self.shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidInput(str(error)) from error

    def set_data_from_numpy(self, input_tensor: npt.NDArray[Any], binary_data: bool = True) -> None:
        """Take an array as contents; its shape and datatype must be the declared ones.

        `binary_data` is the form in which a client sends it. A server's answer has the form that
        its client asked for.
        """
        import numpy as np

        if not isinstance(input_tensor, np.ndarray):
            raise InferenceError("input_tensor must be a numpy array")
        datatype = from_np_dtype(input_tensor.dtype)
        if datatype != self.datatype:
            raise InferenceError(
                f"got unexpected datatype {datatype} from numpy array, expected {self.datatype}"
            )
        if list(input_tensor.shape) != list(self.shape):
            raise InferenceError(
                f"got unexpected numpy array shape [{str(input_tensor.shape)[1:-1]}], "
                f"expected [{str(list(self.shape))[1:-1]}]"
            )
        self._array, self._data, self._raw, self._list = input_tensor, None, None, None
        self._binary = binary_data

    def to_dict(self) -> dict[str, Any]:
        """Return the tensor as the JSON form has it; without `data` where there are no contents."""
        form: dict[str, Any] = {"name": self.name, "shape": self.shape, "datatype": self.datatype}
        if self.has_contents:
            form["data"] = self.data
        if self.parameters:
            form["parameters"] = self.parameters
        return form

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # contents change

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.shape}, {self.datatype!r})"


class InferInput(InferTensor):
    """An input tensor."""

    __slots__ = ()

    def as_string(self) -> list[str]:
        """Return the contents of a BYTES input as strings."""
        return [_text(element) for element in self.as_numpy().ravel()]


class InferOutput(InferTensor):
    """An output tensor."""

    __slots__ = ()


class RequestedOutput:
    """An output that the client asks for, and in which form."""

    __slots__ = ("name", "parameters")

    def __init__(self, name: str, parameters: Parameters | None = None) -> None:
        self.name = name
        self.parameters = parameters

    @property
    def binary_data(self) -> bool | None:
        """Whether raw contents are asked for; None: not said."""
        value = (self.parameters or {}).get("binary_data")
        return value if isinstance(value, bool) else None


class InferRequest:
    """An inference request. `id` may be None: the server then makes one for the response."""

    __slots__ = (
        "from_grpc",
        "id",
        "inputs",
        "model_name",
        "model_version",
        "parameters",
        "request_outputs",
    )

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        model_name: str,
        infer_inputs: list[InferInput],
        request_id: str | None = None,
        raw_inputs: list[bytes] | None = None,
        from_grpc: bool = False,
        parameters: Parameters | None = None,
        request_outputs: list[RequestedOutput] | None = None,
        model_version: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.inputs = infer_inputs
        self.id = request_id
        self.from_grpc = from_grpc
        if raw_inputs:
            for tensor, raw in zip(infer_inputs, raw_inputs, strict=False):
                tensor.set_raw(memoryview(raw))
        self.parameters = parameters
        self.request_outputs = request_outputs
        self.model_version = model_version

    @property
    def use_binary_outputs(self) -> bool:
        """Whether any output is asked for in raw form."""
        if self.request_outputs:
            return any(output.binary_data for output in self.request_outputs)
        return bool((self.parameters or {}).get("binary_data_output", False))

    def get_input_by_name(self, name: str) -> InferInput | None:
        """Return the input of this name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    @classmethod
    def from_bytes(cls, req_bytes: bytes, json_length: int, model_name: str) -> InferRequest:
        """Return the request of a body whose JSON part has this length (binary tensor data)."""
        from sampan.protocol import v2

        return v2.decode(req_bytes, b"", b"%d" % json_length, model_name)

    def to_rest(self) -> tuple[dict[str, Any] | bytes, int | None]:
        """Return the body to send: the JSON form, or bytes and the length of their JSON part."""
        from sampan.protocol import v2_client

        return v2_client.request_form(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the request in its JSON form, contents as lists."""
        from sampan.protocol import v2_client

        return v2_client.request_dict(self)

    def as_dataframe(self) -> Any:
        """Return a pandas DataFrame with one column an input; InvalidInput without pandas."""
        try:
            import pandas as pd  # type: ignore[import-untyped]  # optional
        except ImportError:
            raise InvalidInput(
                'content_type "pd" needs pandas in the environment of the model; '
                "add it to the requirements or send one tensor"
            ) from None
        columns = {tensor.name: listed(tensor.as_numpy().ravel()) for tensor in self.inputs}
        try:
            return pd.DataFrame(columns)
        except ValueError as error:
            raise InvalidInput(str(error)) from error


class InferResponse:
    """An inference response."""

    __slots__ = (
        "from_grpc",
        "id",
        "model_name",
        "model_version",
        "outputs",
        "parameters",
        "requested_outputs",
        "use_binary_outputs",
    )

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        response_id: str,
        model_name: str,
        infer_outputs: list[InferOutput],
        model_version: str | None = None,
        raw_outputs: list[bytes] | None = None,
        from_grpc: bool = False,
        parameters: Parameters | None = None,
        use_binary_outputs: bool = False,
        requested_outputs: list[RequestedOutput] | None = None,
    ) -> None:
        self.id = response_id
        self.model_name = model_name
        self.outputs = infer_outputs
        self.from_grpc = from_grpc
        if raw_outputs:
            for tensor, raw in zip(infer_outputs, raw_outputs, strict=False):
                tensor.set_raw(memoryview(raw))
        self.model_version = model_version
        self.parameters = parameters
        self.use_binary_outputs = use_binary_outputs
        self.requested_outputs = requested_outputs

    def get_output_by_name(self, name: str) -> InferOutput | None:
        """Return the output of this name, or None."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)

    @classmethod
    def from_rest(cls, response: dict[str, Any]) -> InferResponse:
        """Return the response of a decoded JSON body; InferenceError where it is none."""
        from sampan.protocol import v2_client

        return v2_client.make_response(response)

    @classmethod
    def from_bytes(cls, res_bytes: bytes, json_length: int) -> InferResponse:
        """Return the response of a body whose JSON part has this length (binary tensor data)."""
        from sampan.protocol import v2_client

        return v2_client.decode_response(res_bytes, json_length)

    def to_rest(self) -> tuple[dict[str, Any] | bytes, int | None]:
        """Return the body to send: the JSON form, or bytes and the length of their JSON part."""
        from sampan.protocol import v2_client

        return v2_client.response_form(self)


def listed(array: np.ndarray[Any, Any]) -> list[Any]:
    """Return an array as a JSON-ready list; BYTES elements as text."""
    if array.dtype.kind in "OS":
        return [_text(element) for element in array.ravel()]
    if array.dtype.kind == "M":
        return [str(element) for element in array.ravel()]
    values: list[Any] = array.tolist()
    return values


def _text(element: object) -> Any:
    if not isinstance(element, bytes):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f'Failed to encode "{element!r}" using UTF-8. '
            "Please use binary_data=True, if you want to pass a byte array."
        ) from None

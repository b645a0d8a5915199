"""`Model`: what a person writes to serve something. Names and signatures are KServe's."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

from sampan.protocol import v1
from sampan.server.batching import BatchLimits

Headers: TypeAlias = "dict[str, str]"
"""Request headers as a model sees them: names in lower case."""


class InferenceVerb(Enum):
    """What is asked of a model."""

    EXPLAIN = 1
    PREDICT = 2


class Model:
    """One registered name. Override `load` and `predict`; each step may be sync or async.

    Steps run in the order preprocess, validate, predict or explain, postprocess. The payload is
    decoded JSON or bytes (V1), or an `InferRequest` (V2). With `return_response_headers` predict
    and postprocess get a third argument, a dict that becomes response headers.
    """

    quick = False
    """A promise of built-in runtimes: predict neither waits nor blocks, so it may run on the loop
    as long as it is measured to be short."""

    row_wise = False
    """A promise: predict answers one row for each row it is given, each row's answer depends on
    that row alone, and headers play no part. Requests that come together are then predicted in one
    call, which gets the headers that all of them share."""

    takes_arrays = False
    """Whether `instances` of a batch may be a NumPy array instead of lists."""

    batch_limits: BatchLimits | None = None
    """How its requests are gathered, where that is not the server's way."""

    platform = ""
    """What runs it, for V2's metadata."""

    takes_headers = True
    """Whether predict looks at headers. One that does not is given none with a batch."""

    takes_streamed = False
    """Whether predict is told, by a `server.streaming.Streamed`, that parts are asked for."""

    def __init__(self, name: str, return_response_headers: bool = False) -> None:
        self.name = name
        self.ready = False
        self.return_response_headers = return_response_headers

    def load(self) -> bool:
        """Load the artefact; runs on a thread. Return, and set, `ready`."""
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Run what the first request would otherwise wait for; on a thread, before the server is
        ready. What it raises is logged and changes nothing."""

    def stop(self) -> None:
        """Release what `load` took; the model gets no request any more."""
        self.ready = False

    async def healthy(self) -> bool:
        """Whether it can answer now. One of its own is asked once a second (`server.health`)."""
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the input tensors for metadata: name, datatype, shape."""
        return []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the output tensors for metadata: name, datatype, shape."""
        return []

    # Called as KServe's server does: `(payload, headers)`, and predict and postprocess with a dict
    # for response headers after that where it was asked for. `*args: Any, **kwargs: Any` lets an
    # override name fewer of them (typing specification, "callables").

    def preprocess(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Turn the request's payload into what predict takes."""
        del args, kwargs
        return payload

    def validate(self, payload: Any) -> Any:
        """Check the preprocessed payload against the protocol; InvalidInput where it is wrong."""
        v1.validate(payload)
        return payload

    def predict(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Answer. Not overridden, there is nobody to ask (HTTP 501)."""
        del payload, args, kwargs
        raise NotImplementedError("Could not find predictor_host.")

    def explain(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Explain. Not overridden, there is nobody to ask (HTTP 501)."""
        del payload, args, kwargs
        raise NotImplementedError("Could not find explainer_host.")

    def postprocess(self, result: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Turn the result into what is sent."""
        del args, kwargs
        return result

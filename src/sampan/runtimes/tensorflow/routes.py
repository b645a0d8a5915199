"""TensorFlow Serving's REST ("RESTful API"), and V2's paths with a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol import json_out, media
from sampan.protocol.errors import InvalidInput
from sampan.runtimes.tensorflow import json_forms
from sampan.runtimes.tensorflow.messages import ModelSpec
from sampan.runtimes.tensorflow.model import Asked, Examples, TensorflowModel, parse_version
from sampan.runtimes.tensorflow.results import CLASSIFY, REGRESS
from sampan.runtimes.tensorflow.signature_form import show_signatures
from sampan.runtimes.tensorflow.store import TensorflowStore, show_status
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.rest import Handler, Rest, Route
from sampan.server.rest_calls import Fields, make_v2
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_MODEL = "/v1/models/{name}"
_PLACES = (_MODEL, _MODEL + "/versions/{version}", _MODEL + "/labels/{label}")
_V2 = "/v2/models/{name}"


class TensorflowRoutes:
    """The REST interface over a store."""

    def __init__(self, store: TensorflowStore) -> None:
        self._store = store

    def make(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes that differ from KServe's or come on top (`server.rest.Api`)."""
        for place in _PLACES:
            asked: tuple[tuple[str, str, Handler], ...] = (
                ("GET", place, _show(self._status)),
                ("GET", place + "/metadata", _show(self._metadata)),
                ("POST", place + ":predict", partial(self._predict, rest)),
                ("POST", place + ":classify", partial(self._examples, rest, CLASSIFY)),
                ("POST", place + ":regress", partial(self._examples, rest, REGRESS)),
            )
            for method, path, handler in asked:
                yield Pattern(method, path, f"tensorflow {method} {path}"), handler
        version = _V2 + "/versions/{version}"
        for path in (_V2, version):
            yield Pattern("GET", path, f"tensorflow {path}"), _show(self._metadata_v2)
        yield Pattern("GET", version + "/ready", "tensorflow ready"), _show(self._ready_v2)
        yield Pattern("POST", version + "/infer", "tensorflow infer"), partial(_infer, rest)

    # -- what is told ------------------------------------------------------------------------

    def _status(self, spec: ModelSpec) -> JsonObject:
        states = self._store.statuses(spec)
        return {"model_version_status": [show_status(*one) for one in states.items()]}

    def _metadata(self, spec: ModelSpec) -> JsonObject:
        model, number = self._store.select(spec)
        signatures = model.select(number).model.signatures
        protos = {name: signature.proto for name, signature in signatures.items()}
        return {
            "model_spec": {"name": spec.name, "signature_name": "", "version": str(number)},
            "metadata": {"signature_def": show_signatures(protos)},
        }

    def _metadata_v2(self, spec: ModelSpec) -> JsonObject:
        model, number = self._store.select(spec)
        return make_metadata(model, number)

    def _ready_v2(self, spec: ModelSpec) -> JsonObject:
        self._store.select(spec)
        return {"name": spec.name, "ready": True}

    # -- what is asked -----------------------------------------------------------------------

    def _predict(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        spec = _spec(route)
        model, number = self._store.select(spec)
        version = None if number == model.newest else number
        decode = partial(_decode_predict, request.body, version)
        _begin(rest, request, reply, (spec.name, decode, _encode_document))

    def _examples(
        self, rest: Rest, method: str, request: Request, reply: Exchange, route: Route
    ) -> None:
        spec = _spec(route)
        _, number = self._store.select(spec)
        decode = partial(_decode_examples, request.body, method, number)
        _begin(rest, request, reply, (spec.name, decode, _encode_results))


def make_metadata(model: TensorflowModel, number: int) -> JsonObject:
    """Return V2's metadata of a version."""
    signature = model.describe(number)
    return {
        "name": model.name,
        "versions": [str(one) for one in sorted(model.versions)],
        "platform": model.platform,
        "inputs": [spec.metadata() for spec in signature.inputs] if signature else [],
        "outputs": [spec.metadata() for spec in signature.outputs] if signature else [],
    }


def _spec(route: Route) -> ModelSpec:
    given = route.parameters
    return ModelSpec(given["name"], parse_version(given.get("version")), given.get("label", ""))


def _show(tell: Callable[[ModelSpec], JsonObject]) -> Handler:
    def handler(request: Request, reply: Exchange, route: Route) -> None:
        del request
        reply(Response(200, orjson.dumps(tell(_spec(route)))))

    return handler


def _begin(
    rest: Rest,
    request: Request,
    reply: Exchange,
    call: tuple[str, Callable[[], Any], Callable[[Any, Fields], Response]],
) -> None:
    """Begin an inference of a model by how its body is decoded, and its answer encoded."""
    name, decode, encode = call
    stamp = reply.stamp

    def answer(result: Any, headers: Headers) -> Response:
        del headers  # these models set none
        return encode(result, stamp)

    rest.begin(Inference(name, request.texts(), len(request.body), decode, answer), reply)


def _decode_predict(body: bytes, version: int | None) -> Any:
    """Return the payload. Rows alone for the newest version may be joined with others'."""
    document = json_forms.parse_object(body)
    return document if version is None and len(document) == 1 else Asked(document, version)


def _decode_examples(body: bytes, method: str, version: int) -> Examples:
    document = json_forms.parse_object(body)
    verb = method.rpartition("/")[2]
    examples = json_forms.make_examples(document, verb)
    return Examples(examples, [(method, document.get("signature_name", ""))], version)


def _encode_document(result: Any, stamp: Fields) -> Response:
    return Response(200, json_out.dumps(result), media.JSON, stamp)


def _encode_results(result: list[Any], stamp: Fields) -> Response:
    """Return the results of the one task, fractions as a float of 32 bits reads."""
    import numpy as np

    rows = [
        [[label, np.float32(score)] for label, score in row]
        if isinstance(row, list)
        else np.float32(row)
        for row in result[0]
    ]
    return Response(200, json_out.dumps({"results": rows}), media.JSON, stamp)


def _infer(rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
    """Begin V2's inference of a version."""
    version = route.parameters["version"]
    if parse_version(version) is None:
        raise InvalidInput("the version is empty; send one, as in 1")
    inference = make_v2(request, route.parameters["name"], reply.stamp)
    decode = inference.decode

    def versioned() -> Any:
        payload = decode()
        payload.model_version = version
        return payload

    inference.decode, inference.version = versioned, version
    rest.begin(inference, reply)

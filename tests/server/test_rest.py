"""V1 and V2 over REST, row by row: statuses and exact bodies of KServe's server."""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import pytest

from sampan import __version__
from sampan.server.model import Model

JSON = {"Content-Type": "application/json"}
ROW = "[[6.8,2.8,4.8,1.4]]"
V1 = "/v1/models/sk:predict"
V2 = "/v2/models/sk/infer"
ECHO = "/v2/models/echo/infer"
EXPLAINER = '{"error":"Could not find explainer_host."}'
NO_LENGTH = (
    '{"error":"received byte inputs, but the'
    "'inference-header-content-length' header is missing.\"}"
)
VERSIONS = '{"error":"Model versioning not supported yet."}'
NONE = '{"error":"Model with name none does not exist."}'


class Row(NamedTuple):
    """A request, and the answer by status and whole body."""

    method: str
    path: str
    status: int
    answer: str
    body: str = ""
    headers: dict[str, str] = JSON  # never changed


def v2(**changes: Any) -> str:
    request = {
        "id": "1",
        "inputs": [
            {"name": "i", "shape": [1, 4], "datatype": "FP32", "data": [6.8, 2.8, 4.8, 1.4]}
        ],
    }
    return json.dumps({**request, **changes}, separators=(",", ":"))


def tensor(**changes: Any) -> str:
    whole = {"name": "i", "shape": [1, 4], "datatype": "FP32", "data": [6.8, 2.8, 4.8, 1.4]}
    whole.update(changes)
    return v2(inputs=[{key: value for key, value in whole.items() if value is not ...}])


def infer_answer(data: str = "1", identity: str = "1") -> str:
    return (
        f'{{"model_name":"sk","model_version":null,"id":"{identity}","parameters":null,"outputs":'
        '[{"name":"output-0","shape":[1],"datatype":"INT64","parameters":null,'
        f'"data":[{data}]}}]}}'
    )


HEALTH = {
    "the root tells that the server is alive": Row("GET", "/", 200, '{"status":"alive"}'),
    "HEAD is GET without the body": Row("HEAD", "/", 200, ""),
    "an unknown path": Row("GET", "/nope", 404, '{"detail":"Not Found"}'),
    "an encoded slash is not one of the path's": Row(
        "GET", "/v1/models/a%2Fb", 404, '{"detail":"Not Found"}'
    ),
    "a wrong method": Row("POST", "/", 405, '{"detail":"Method Not Allowed"}'),
    "all models, V1": Row("GET", "/v1/models", 200, '{"models":["sk","echo"]}'),
    "all models, V2": Row("GET", "/v2/models", 200, '{"models":["sk","echo"]}'),
    "a ready model, V1": Row("GET", "/v1/models/sk", 200, '{"name":"sk","ready":true}'),
    "an unknown model, V1": Row("GET", "/v1/models/none", 404, NONE),
    "a name with an encoded blank": Row(
        "GET", "/v1/models/a%20b?x=1", 404, '{"error":"Model with name a b does not exist."}'
    ),
    "predict asked with GET is a model of that name": Row(
        "GET", V1, 404, '{"error":"Model with name sk:predict does not exist."}'
    ),
    "server metadata": Row(
        "GET",
        "/v2",
        200,
        f'{{"name":"sampan","version":"{__version__}","extensions":'
        '["model_repository_extension","binary_tensor_data_extension"]}',
    ),
    "live": Row("GET", "/v2/health/live", 200, '{"live":true}'),
    "ready": Row("GET", "/v2/health/ready", 200, '{"ready":true}'),
    "model metadata": Row(
        "GET",
        "/v2/models/sk",
        200,
        (
            '{"name":"sk","versions":null,"platform":"",'
            '"inputs":[{"name":"input-0","datatype":"FP64","shape":[-1,4]}],'
            '"outputs":[{"name":"output-0","datatype":"INT64","shape":[-1]}]}'
        ),
    ),
    "metadata of an unknown model": Row("GET", "/v2/models/none", 404, NONE),
    "a ready model, V2": Row("GET", "/v2/models/sk/ready", 200, '{"name":"sk","ready":true}'),
    "an unknown model, V2": Row("GET", "/v2/models/none/ready", 404, NONE),
    "a version of a model": Row("GET", "/v2/models/none/versions/1", 501, VERSIONS),
    "readiness of a version": Row("GET", "/v2/models/none/versions/1/ready", 501, VERSIONS),
    "the index of models": Row(
        "POST",
        "/v2/repository/index",
        200,
        '[{"name":"sk","state":"Ready","reason":""},{"name":"echo","state":"Ready","reason":""}]',
    ),
    "unloading an unknown model": Row("POST", "/v2/repository/models/none/unload", 404, NONE),
    "loading an unknown model": Row(
        "POST",
        "/v2/repository/models/none/load",
        503,
        '{"error":"Model with name none is not ready."}',
    ),
    "loading again": Row("POST", "/v2/repository/models/sk/load", 200, '{"name":"sk","load":true}'),
    "unloading": Row("POST", "/v2/repository/models/sk/unload", 200, '{"name":"sk","unload":true}'),
}

PREDICT = {
    "instances": Row("POST", V1, 200, '{"predictions":[1]}', f'{{"instances":{ROW}}}'),
    "inputs in the place of instances": Row(
        "POST", V1, 200, '{"predictions":[1]}', f'{{"inputs":{ROW}}}'
    ),
    "a charset beside the media type": Row(
        "POST",
        V1,
        200,
        '{"predictions":[1]}',
        f'{{"instances":{ROW}}}',
        {"Content-Type": "application/json; charset=utf-8"},
    ),
    "curl's default media type": Row(
        "POST",
        V1,
        200,
        '{"predictions":[1]}',
        f'{{"instances":{ROW}}}',
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "no media type": Row("POST", V1, 200, '{"predictions":[1]}', f'{{"instances":{ROW}}}', {}),
    "existence comes before decoding": Row("POST", "/v1/models/none:predict", 404, NONE, "junk"),
    "no JSON": Row(
        "POST",
        V1,
        400,
        '{"error":"Unrecognized request format: unexpected character, expected a JSON value: '
        'line 1 column 1 (char 0)"}',
        "junk",
    ),
    "an empty body": Row(
        "POST",
        V1,
        400,
        '{"error":"Unrecognized request format: Input is a zero-length, empty document: '
        'line 1 column 1 (char 0)"}',
    ),
    "instances that are no list": Row(
        "POST", V1, 400, '{"error":"Expected \\"instances\\" to be a list"}', '{"instances":5}'
    ),
    "no instances": Row(
        "POST",
        V1,
        400,
        '{"error":"Expected a JSON object with \\"instances\\" or \\"inputs\\""}',
        "{}",
    ),
    "too few features": Row(
        "POST",
        V1,
        400,
        '{"error":"\\"instances\\" has 2 features a row; give 4 features"}',
        '{"instances":[[1,2]]}',
    ),
    "a word among numbers": Row(
        "POST",
        V1,
        400,
        '{"error":"\\"instances\\" is a list of str and must be a matrix; '
        'give rows of 4 features, [[...], ...]"}',
        '{"instances":["x"]}',
    ),
    "an image": Row(
        "POST",
        V1,
        400,
        '{"error":"this model takes JSON or tensors; send content-type application/json with '
        '{\\"instances\\": [...]}"}',
        "PNG",
        {"Content-Type": "image/png"},
    ),
    "no explainer": Row("POST", "/v1/models/sk:explain", 501, EXPLAINER, f'{{"instances":{ROW}}}'),
    "extra keys reach the model unharmed": Row(
        "POST",
        "/v1/models/echo:predict",
        200,
        '{"instances":[1],"x":null}',
        '{"instances":[1],"x":null}',
    ),
    "a body of another type reaches the model as bytes": Row(
        "POST", "/v1/models/echo:predict", 200, "xyz", "xyz", {"Content-Type": "text/plain"}
    ),
}

INFER = {
    "a flat tensor": Row("POST", V2, 200, infer_answer(), v2()),
    "a nested tensor": Row("POST", V2, 200, infer_answer("2"), tensor(data=[[1, 2, 3, 4]])),
    "a charset beside the media type": Row(
        "POST", V2, 200, infer_answer(), v2(), {"Content-Type": "application/json; charset=utf-8"}
    ),
    "a datatype in lower case": Row("POST", V2, 200, infer_answer(), tensor(datatype="fp32")),
    "sizes as text": Row("POST", V2, 200, infer_answer(), tensor(shape=["1", "4"])),
    "sizes as whole floats": Row("POST", V2, 200, infer_answer(), tensor(shape=[1.0, 4.0])),
    "parameters of every type": Row(
        "POST", V2, 200, infer_answer(), tensor(parameters={"a": 1, "b": 1.5, "c": True, "d": "x"})
    ),
    "the output asked for": Row(
        "POST", V2, 200, infer_answer(), v2(outputs=[{"name": "output-0"}])
    ),
    "an output that there is not": Row(
        "POST",
        V2,
        400,
        "{\"error\":\"Unexpected inference output 'zz' for model 'sk'\"}",
        v2(outputs=[{"name": "zz"}]),
    ),
    "no media type and no JSON": Row("POST", V2, 400, NO_LENGTH, "junk", {}),
    "a JSON text": Row("POST", V2, 400, NO_LENGTH, '"abc"'),
    "existence comes before decoding": Row("POST", "/v2/models/none/infer", 404, NONE, "junk"),
    "a version": Row("POST", "/v2/models/sk/versions/1/infer", 501, VERSIONS, v2()),
    "no JSON": Row(
        "POST",
        V2,
        422,
        '{"detail":[{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error",'
        '"input":{},"ctx":{"error":"Expecting value"}}]}',
        "junk",
    ),
    "an empty body": Row(
        "POST",
        V2,
        422,
        '{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}',
    ),
    "nothing in the object": Row(
        "POST",
        V2,
        422,
        '{"detail":[{"type":"missing","loc":["body","InferenceRequest","inputs"],'
        '"msg":"Field required","input":{}},{"type":"bytes_type","loc":["body","bytes"],'
        '"msg":"Input should be a valid bytes","input":{}}]}',
        "{}",
    ),
    "an array in the place of the object": Row(
        "POST",
        V2,
        422,
        '{"detail":[{"type":"model_attributes_type","loc":["body","InferenceRequest"],'
        '"msg":"Input should be a valid dictionary or object to extract fields from","input":[]},'
        '{"type":"bytes_type","loc":["body","bytes"],"msg":"Input should be a valid bytes",'
        '"input":[]}]}',
        "[]",
    ),
    "no tensor at all": Row(
        "POST",
        V2,
        400,
        '{"error":"Expected \\"inputs\\" to hold at least one tensor"}',
        v2(inputs=[]),
    ),
    "FP16 in JSON": Row(
        "POST",
        V2,
        400,
        '{"error":"Sending FP16 data via JSON is not supported. '
        'Please use the binary data format for input i"}',
        tensor(datatype="FP16"),
    ),
    "data that does not fill the shape": Row(
        "POST",
        V2,
        400,
        '{"error":"cannot reshape array of size 4 into shape (3,4)"}',
        tensor(shape=[3, 4]),
    ),
    "a value out of the datatype's range": Row(
        "POST",
        V2,
        400,
        '{"error":"Python integer 400 out of bounds for int8"}',
        tensor(datatype="INT8", data=[1, 2, 3, 400]),
    ),
}

FAULTS = {
    "a missing name": (tensor(name=...), ["inputs", 0, "name"], "missing"),
    "a name that is no text": (tensor(name=5), ["inputs", 0, "name"], "string_type"),
    "a missing shape": (tensor(shape=...), ["inputs", 0, "shape"], "missing"),
    "a shape that is no list": (tensor(shape="x"), ["inputs", 0, "shape"], "list_type"),
    "a size that is no number": (tensor(shape=["a"]), ["inputs", 0, "shape", 0], "int_parsing"),
    "half a size": (tensor(shape=[1.5]), ["inputs", 0, "shape", 0], "int_from_float"),
    "no size": (tensor(shape=[None]), ["inputs", 0, "shape", 0], "int_type"),
    "a datatype that is no text": (tensor(datatype=5), ["inputs", 0, "datatype"], "string_type"),
    "data that is no list": (tensor(data=5), ["inputs", 0, "data"], "list_type"),
    "missing data": (tensor(data=...), ["inputs", 0, "data"], "missing"),
    "parameters that are no object": (
        tensor(parameters=5),
        ["inputs", 0, "parameters"],
        "dict_type",
    ),
    "a list as parameter": (v2(parameters={"a": [1]}), ["parameters", "a", "float"], "float_type"),
    "an id that is no text": (v2(id=5), ["id"], "string_type"),
    "outputs that are no list": (v2(outputs=5), ["outputs"], "list_type"),
    "an output without name": (v2(outputs=[{}]), ["outputs", 0, "name"], "missing"),
    "inputs that are no list": (v2(inputs=5), ["inputs"], "list_type"),
    "an input that is no object": (v2(inputs=[5]), ["inputs", 0], "model_attributes_type"),
}


@pytest.mark.parametrize("row", {**HEALTH}.items(), ids=lambda item: item[0])
async def test_health_and_metadata(serve, iris, echo, row):
    await check(await serve(iris, echo), row[1])


@pytest.mark.parametrize("row", PREDICT.items(), ids=lambda item: item[0])
async def test_v1(serve, iris, echo, row):
    await check(await serve(iris, echo), row[1])


@pytest.mark.parametrize("row", INFER.items(), ids=lambda item: item[0])
async def test_v2(serve, iris, echo, row):
    await check(await serve(iris, echo), row[1])


async def check(server, row):
    answer = await server.ask(row.method, row.path, row.body, row.headers)
    assert (answer.status, answer.body.decode()) == (row.status, row.answer)


@pytest.mark.parametrize("row", FAULTS.items(), ids=lambda item: item[0])
async def test_each_fault_in_a_v2_request_is_located(serve, iris, row):
    body, loc, kind = row[1]
    answer = await (await serve(iris)).ask("POST", V2, body, JSON)
    assert answer.status == 422
    first, *_, last = answer.json["detail"]
    assert (first["loc"], first["type"]) == (["body", "InferenceRequest", *loc], kind)
    assert (last["type"], last["input"]) == ("bytes_type", json.loads(body))


async def test_all_faults_are_told_at_once(serve, iris):
    body = v2(id=7, inputs=[5, {"name": 5}])
    answer = await (await serve(iris)).ask("POST", V2, body, JSON)
    assert [entry["type"] for entry in answer.json["detail"]] == [
        "string_type",
        "model_attributes_type",
        "string_type",
        "missing",
        "missing",
        "missing",
        "bytes_type",
    ]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/models/sk", "GET"),
        ("GET", "/v2/models/sk/infer", "POST"),
        ("DELETE", "/v2", "GET"),
        ("PUT", V1, "GET, POST"),
    ],
)
async def test_a_wrong_method_names_the_right_ones(serve, iris, method, path, allow):
    answer = await (await serve(iris)).ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


async def test_a_trailing_slash_leads_to_the_path_without_it(serve, iris):
    server = await serve(iris)
    answer = await server.ask("GET", "/v1/models/?a=1")
    assert (answer.status, answer.headers["location"]) == (307, "/v1/models?a=1")
    assert (await server.ask("GET", "//evil.example/")).status == 404


async def test_a_missing_id_is_made(serve, iris):
    answer = await (await serve(iris)).ask("POST", V2, v2(id=None), JSON)
    assert len(answer.json["id"]) == 36


def binary(
    datatype: str, shape: list[int], raw: bytes, **more: Any
) -> tuple[bytes, dict[str, str]]:
    entry = {"name": "i", "shape": shape, "datatype": datatype}
    entry["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"id": "gen", "inputs": [entry], **more}).encode()
    return head + raw, {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }


RAW = {
    "INT32": ([2], struct.pack("<2i", 1, -2), [1, -2]),
    "BOOL": ([2], b"\x01\x00", [True, False]),
    "FP64": ([1, 2], struct.pack("<2d", 1.5, 2), [1.5, 2.0]),
    "UINT64": ([1], struct.pack("<Q", 2**64 - 1), [2**64 - 1]),
    "BYTES": ([2], b"\x02\0\0\0ab\x02\0\0\0cd", ["ab", "cd"]),
    "INT8": ([0], b"", []),
}


@pytest.mark.parametrize("datatype", RAW)
async def test_a_binary_tensor_is_read(serve, echo, datatype):
    shape, raw, values = RAW[datatype]
    answer = await (await serve(echo)).ask("POST", ECHO, *binary(datatype, shape, raw))
    assert answer.status == 200
    assert answer.json["outputs"][0] == {
        "name": "i",
        "shape": shape,
        "datatype": datatype,
        "parameters": None,
        "data": values,
    }


@pytest.mark.parametrize("datatype", [*RAW, "FP16"])
async def test_a_binary_tensor_is_sent(serve, echo, datatype):
    shape, raw, _ = RAW.get(datatype, ([2], b"\x00\x3e\x00\x41", None))
    request = binary(datatype, shape, raw, parameters={"binary_data_output": True})
    answer = await (await serve(echo)).ask("POST", ECHO, *request)
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body[length:] == raw
    expected = (
        '{"id":"gen","model_name":"echo","model_version":null,"outputs":[{"name":"i","shape":'
        + json.dumps(shape, separators=(",", ":"))
        + f',"datatype":"{datatype}","parameters":{{"binary_data_size":{len(raw)}}}}}]}}'
    )
    assert answer.body[:length].decode() == expected


async def test_outputs_come_in_the_order_and_form_asked_for(serve, echo):
    body = v2(
        inputs=[
            {"name": "a", "shape": [1], "datatype": "INT32", "data": [1]},
            {"name": "b", "shape": [2], "datatype": "FP64", "data": [1, 2]},
        ],
        outputs=[{"name": "b"}, {"name": "a", "parameters": {"binary_data": True}}],
    )
    answer = await (await serve(echo)).ask("POST", ECHO, body, JSON)
    length = int(answer.headers["inference-header-content-length"])
    assert [o["name"] for o in json.loads(answer.body[:length])["outputs"]] == ["b", "a"]
    assert answer.body[length:] == struct.pack("<i", 1)


BAD_RAW = {
    "fewer bytes than the shape": (binary("INT32", [3], b"\0" * 8), 400, "cannot reshape"),
    "a part of an element": (binary("INT32", [2], b"\0" * 7), 400, "multiple of element size"),
    "an unknown datatype": (binary("FOO", [2], b"\0" * 8), 400, "FOO"),
    "a text cut short": (binary("BYTES", [1], b"\x09\0\0\0ab"), 400, "needs 9 bytes, 2 are left"),
    "a length cut short": (binary("BYTES", [1], b"\x09\0"), 400, "inside the length"),
    "text that is no UTF-8": (binary("BYTES", [1], b"\x02\0\0\0\xff\xfe"), 400, "UTF-8"),
    "FP16 to be sent as JSON": (binary("FP16", [1], b"\0\0"), 400, "Sending FP16 data via JSON"),
}


@pytest.mark.parametrize("row", BAD_RAW, ids=list(BAD_RAW))
async def test_a_faulty_binary_tensor_is_the_clients_fault(serve, echo, row):
    request, status, text = BAD_RAW[row]
    answer = await (await serve(echo)).ask("POST", ECHO, *request)
    assert answer.status == status
    assert text in answer.json["error"]


@pytest.mark.parametrize("length", ["abc", "-1", "999", "1_0", "\xb2", ""])
async def test_a_header_length_that_is_none_is_refused(serve, echo, length):
    headers = {"Inference-Header-Content-Length": length, "Content-Type": "x/y"}
    answer = await (await serve(echo)).ask("POST", ECHO, b'{"id":"1"}', headers)
    assert answer.status == 400


async def test_bytes_beyond_the_last_tensor_are_refused(serve, echo):
    body, headers = binary("INT32", [1], b"\0" * 4)
    answer = await (await serve(echo)).ask("POST", ECHO, body + b"more", headers)
    assert (answer.status, "4 bytes follow" in answer.json["error"]) == (400, True)


async def test_nan_as_pythons_json_writes_it_is_read(serve, echo):
    body = '{"inputs":[{"name":"i","shape":[2],"datatype":"FP32","data":[NaN,1]}]}'
    answer = await (await serve(echo)).ask("POST", ECHO, body, JSON)
    assert answer.json["outputs"][0]["data"] == [None, 1.0]


async def test_float32_is_written_with_the_digits_of_the_double(serve, echo):
    body = '{"inputs":[{"name":"i","shape":[1],"datatype":"FP32","data":[0.1]}]}'
    answer = await (await serve(echo)).ask("POST", ECHO, body, JSON)
    assert b"[0.10000000149011612]" in answer.body


class Headed(Model):
    """Sets response headers, as KServe's models may."""

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        assert payload == {}
        response_headers.update({"X-Seen": headers["x-a"], "Content-Length": "9"})
        return b"raw"


async def test_a_model_sets_response_headers(serve):
    model = Headed("h", return_response_headers=True)
    model.load()
    answer = await (await serve(model)).ask("POST", "/v1/models/h:predict", "{}", {"X-A": "b"})
    assert (answer.headers["x-seen"], answer.headers["content-length"]) == ("b", "3")
    assert (answer.body, answer.headers.get("content-type")) == (b"raw", None)

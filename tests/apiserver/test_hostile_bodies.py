"""Bodies and paths made to break the server: each gets a 4xx with a reason, and nothing moves."""

from __future__ import annotations

import json

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
YAML = "application/yaml"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@pytest.fixture
async def client(client_of):
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    client = client_of(server)
    await client.ok("POST", CONFIGMAPS, {"metadata": {"name": "there"}, "data": {"a": "1"}})
    yield client
    server.stop()
    await store.close()


def named(data: str) -> bytes:
    return b'{"metadata":{"name":"x"},"data":' + data.encode() + b"}"


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (new, new, b", ".join([b"*%c" % old] * 10))
    for old, new in zip(b"abcdefgh", b"bcdefghi", strict=True)
)
DEEP = 50_000


@pytest.mark.parametrize(
    ("media", "body", "code"),
    [
        pytest.param("", named('{"a":"' + "x" * 1_600_000 + '"}'), 413, id="over 1.5 MB"),
        pytest.param("", named('{"a":"' + "x" * 1_100_000 + '"}'), 422,
                     id="a ConfigMap over its own 1 MB"),
        pytest.param("", named("{" + '"a":{' * DEEP + "}" * DEEP + "}"), 400,
                     id="JSON nested 50,000 deep"),
        pytest.param("", named("[" * DEEP + "]" * DEEP), 400, id="lists nested 50,000 deep"),
        pytest.param("", named('{"a":' + '{"b":' * 300 + "1" + "}" * 300 + "}"), 422,
                     id="nested where a text belongs"),
        pytest.param(YAML, b"metadata: {name: x}\ndata: " + b"[" * DEEP, 400,
                     id="YAML brackets that never end"),
        pytest.param(YAML, b"metadata: {name: x}\ndata: " + b"[" * 5000 + b"]" * 5000, 400,
                     id="YAML nested 5,000 deep"),
        pytest.param(YAML, b"".join(b" " * n + b"a:\n" for n in range(2000)), 400,
                     id="YAML indented 2,000 deep"),
        pytest.param(YAML, BOMB, 400, id="a billion laughs of anchors"),
        pytest.param(YAML, b"a: &a\n  b: *a\n", 400, id="an anchor in itself"),
        pytest.param(YAML, b"metadata: !!python/object/apply:os.system ['true']\n", 400,
                     id="a tag that would call something"),
        pytest.param("", b'{"metadata":{"name":"\xff\xfe"}}', 400, id="JSON that is not UTF-8"),
        pytest.param(YAML, b"metadata:\n  name: \xff\xfe\n", 400, id="YAML that is not UTF-8"),
        pytest.param("", '{"metadata":{"name":"x"}}'.encode("utf-16"), 400, id="UTF-16"),
        pytest.param("", b'{"metadata":{"name":"x","labels":{"a":"\\ud800"}}}', 400,
                     id="half a surrogate pair"),
        pytest.param("", named('{"a":1e999}'), 400, id="a number past all bounds"),
        pytest.param("", named('{"a":NaN}'), 400, id="not a number"),
        pytest.param("", named('{"a":' + "9" * 5000 + "}"), 400, id="5,000 digits"),
        pytest.param("", b'{"metadata":{"name":["x"]}}', 422, id="a name that is a list"),
        pytest.param("", b'{"metadata":[]}', 400, id="metadata that is a list"),
        pytest.param("", b'{"metadata":{"name":"x","labels":["a"]}}', 422,
                     id="labels that are a list"),
        pytest.param("", b'{"metadata":{"name":"x","ownerReferences":"me"}}', 422,
                     id="owners that are a text"),
        pytest.param("", b'{"metadata":{"name":"x","finalizers":{"a":1}}}', 422,
                     id="finalizers that are an object"),
        pytest.param("", b'{"metadata":{"generateName":7}}', 422, id="a prefix that is a number"),
        pytest.param("", b'{"metadata":{"name":"x"},"data":{"../../etc/passwd":"a"}}', 422,
                     id="a key that is a path"),
        pytest.param("application/vnd.kubernetes.protobuf", b"k8s\x00" + b"\xff" * 64, 400,
                     id="protobuf of nonsense"),
        pytest.param("application/cbor", b"\xa0", 415, id="CBOR"),
        pytest.param("multipart/form-data", b"--x", 415, id="a form"),
    ],
)  # fmt: skip
async def test_a_create_of_nonsense_is_refused(client, media, body, code):
    headers = {"content-type": media} if media else {}
    before = await client.ok("GET", CONFIGMAPS)
    reply = await client.send("POST", CONFIGMAPS, body, headers=headers)
    status = json.loads(reply.body)
    assert (reply.code, status["kind"]) == (code, "Status"), status
    assert status["reason"]
    assert 0 < len(status["message"]) < 5000
    assert await client.ok("GET", CONFIGMAPS) == before


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a/b", "../x", "..\\x", "a\x00b", "a b", "%2e%2e", "-x", "X", "x" * 300, "é", "💥"],
)
async def test_a_name_that_tries_to_be_a_path_is_refused(client, name):
    reply = await client.send("POST", CONFIGMAPS, {"metadata": {"name": name}})
    status = json.loads(reply.body)
    assert status["code"] == 422, status
    assert "metadata.name" in status["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"{CONFIGMAPS}/..%2f..%2fsecrets",
        f"{CONFIGMAPS}/../../../etc/passwd",
        f"{CONFIGMAPS}/%00",
        f"{CONFIGMAPS}/%ff",
        "/api/v1/namespaces/..%2fkserve/configmaps/inferenceservice-config",
        "/api/v1/namespaces/../configmaps",
        "/api/v1/namespaces//configmaps/there",
        "//api//v1//configmaps",
        "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/x/y/z",
        "/" + "a/" * 2000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_a_path_out_of_place_finds_nothing(client, method, path):
    before = await client.ok("GET", CONFIGMAPS)
    reply = await client.send(method, path, {}, headers={"content-type": MERGE})
    assert 400 <= reply.code < 500, reply.body
    assert json.loads(reply.body)["kind"] == "Status"
    assert await client.ok("GET", CONFIGMAPS) == before


@pytest.mark.parametrize(
    ("media", "patch", "code"),
    [
        (MERGE, b'{"data":{"a":"' + b"x" * 1_600_000 + b'"}}', 413),
        (MERGE, b'{"metadata":{"name":"other"}}', 400),
        (MERGE, b'{"metadata":{"namespace":"other"}}', 400),
        (MERGE, b'{"metadata":{"uid":"another"}}', 409),
        (MERGE, b'{"metadata":{"resourceVersion":"1"}}', 409),
        (MERGE, b'{"metadata":{"resourceVersion":"soon"}}', 409),
        (MERGE, b'{"metadata":null}', 200),
        (MERGE, b'{"kind":"Secret"}', 400),
        (MERGE, b'"text"', 400),
        (JSON_PATCH, b'[{"op":"add","path":"/data/b","value":"2"},{"op":"fly","path":"/"}]', 400),
        (JSON_PATCH, b'[{"op":"test","path":"/data/a","value":"2"}]', 422),
        (JSON_PATCH, b'[{"op":"copy","from":"","path":"/data/b"}]', 422),
        (JSON_PATCH, b'[{"op":"remove","path":"/metadata"}]', 200),
        (JSON_PATCH, b'[{"op":"replace","path":"","value":[]}]', 400),
        (JSON_PATCH, b"[1]", 400),
        (APPLY, b"metadata: &a {name: there, labels: *a}\n", 400),
        (APPLY, BOMB, 400),
    ],
)
async def test_a_patch_of_nonsense_changes_nothing(client, media, patch, code):
    before = await client.ok("GET", f"{CONFIGMAPS}/there")
    query = {"fieldManager": "tests"} if media == APPLY else {}
    reply = await client.send(
        "PATCH", f"{CONFIGMAPS}/there", patch, headers={"content-type": media}, query=query
    )
    assert reply.code == code, reply.body
    after = await client.ok("GET", f"{CONFIGMAPS}/there")
    assert after["data"] == before["data"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_a_map_of_10_000_keys_is_taken_whole(client):
    body = {"metadata": {"name": "wide"}, "data": {f"k{n}": str(n) for n in range(10_000)}}
    await client.ok("POST", CONFIGMAPS, body)
    assert len((await client.ok("GET", f"{CONFIGMAPS}/wide"))["data"]) == 10_000


async def test_10_000_unknown_fields_are_refused_in_an_answer_that_can_be_read(client):
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/a"}
    spec = {"predictor": {"model": {**model, **{f"x{n}": 1 for n in range(10_000)}}}}
    body = {"metadata": {"name": "wide"}, "spec": spec}
    reply = await client.send("POST", SERVICES, body, query={"fieldValidation": "Strict"})
    assert reply.code == 400
    assert len(reply.body) < 100_000
    reply = await client.send("POST", SERVICES, body)
    assert reply.code == 201
    assert sum(len(value) for _, value in reply.headers) < 50_000, "headers that clients take"


async def test_an_object_cannot_grow_over_the_limit_piece_by_piece(client):
    codes = []
    for number in range(4):
        patch = {"metadata": {"annotations": {f"n{number}": "x" * 100_000}}}
        reply = await client.send(
            "PATCH", f"{CONFIGMAPS}/there", patch, headers={"content-type": MERGE}
        )
        codes.append(reply.code)
    assert codes == [200, 200, 422, 422]

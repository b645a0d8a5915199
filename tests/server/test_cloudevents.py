"""CloudEvents around V1, as KServe's server takes and gives them."""

from __future__ import annotations

import json
import re

import pytest

BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "36077800-0c23-4f38-a0b4-01f4369f670a",
    "ce-source": "https://example.com/event-producer",
    "ce-type": "com.example.sampletype1",
    "ce-team": "vision",
    "Content-Type": "application/json",
}
STRUCTURED = {
    "specversion": "1.0",
    "id": "36077800",
    "source": "https://example.com",
    "type": "com.example",
    "time": "2026-01-01T00:00:00Z",
    "team": "vision",
    "data": {"instances": [1]},
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PATH = "/v1/models/echo:predict"


@pytest.fixture
async def server(serve, echo):
    return await serve(echo)


def events(headers):
    return {name: value for name, value in headers.items() if name.startswith("ce-")}


async def test_a_binary_event_is_answered_by_one(server):
    answer = await server.ask("POST", PATH, '{"instances":[1]}', BINARY)
    told = events(answer.headers)
    assert UUID.fullmatch(told.pop("ce-id"))
    assert told.pop("ce-time").startswith("20")
    assert told == {
        "ce-specversion": "1.0",
        "ce-source": "io.kserve.inference.echo",
        "ce-type": "io.kserve.inference.response",
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{"instances": [1]}'


async def test_the_environment_names_type_and_source_and_merges(server, monkeypatch):
    monkeypatch.setenv("CE_TYPE", "my.type")
    monkeypatch.setenv("CE_SOURCE", "my.source")
    monkeypatch.setenv("CE_MERGE", "true")
    told = events((await server.ask("POST", PATH, "{}", BINARY)).headers)
    assert (told["ce-type"], told["ce-source"], told["ce-team"]) == (
        "my.type",
        "my.source",
        "vision",
    )
    assert told["ce-id"] != BINARY["ce-id"]
    assert "ce-datacontenttype" not in told


async def test_a_structured_event_is_answered_by_one(server):
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    answer = await server.ask("POST", PATH, json.dumps(STRUCTURED), headers)
    assert answer.headers["content-type"] == "application/cloudevents+json"
    assert answer.json["data"] == {"instances": [1]}
    assert answer.json["type"] == "io.kserve.inference.response"
    assert "team" not in answer.json
    assert not events(answer.headers)


async def test_a_structured_event_that_is_sent_as_plain_json_is_answered_plainly(server):
    headers = {"Content-Type": "application/json"}
    answer = await server.ask("POST", PATH, json.dumps(STRUCTURED), headers)
    assert answer.body == b'{"instances":[1]}'


@pytest.mark.parametrize("missing", ["ce-specversion", "ce-id", "ce-source", "ce-type"])
async def test_with_an_attribute_missing_it_is_an_ordinary_request(server, missing):
    headers = {name: value for name, value in BINARY.items() if name != missing}
    answer = await server.ask("POST", PATH, '{"instances":[1]}', headers)
    assert answer.body == b'{"instances":[1]}'
    assert not events(answer.headers)


@pytest.mark.parametrize("missing", ["id", "time", "data"])
async def test_with_a_member_missing_the_object_is_the_payload(server, missing):
    value = {name: item for name, item in STRUCTURED.items() if name != missing}
    answer = await server.ask(
        "POST", PATH, json.dumps(value), {"Content-Type": "application/cloudevents+json"}
    )
    assert answer.json == value


async def test_data_that_is_no_json_reaches_the_model_as_bytes(server):
    headers = {**BINARY, "Content-Type": "application/avro"}
    answer = await server.ask("POST", PATH, b"\xff\x00", headers)
    assert answer.body == b"\xff\x00"


@pytest.mark.parametrize(
    ("changed", "body", "text"),
    [
        ({}, "{", "Failed to decode or parse binary json cloudevent: "),
        ({}, b"\xff", "Failed to decode or parse binary json cloudevent: "),
        ({"ce-specversion": "9"}, "{}", 'Cloud Event Exceptions: specversion "9"'),
    ],
)
async def test_a_malformed_event_is_a_400(server, changed, body, text):
    answer = await server.ask("POST", PATH, body, {**BINARY, **changed})
    assert answer.status == 400
    assert answer.json["error"].startswith(text)


async def test_explain_takes_events_and_echoes_no_request_header(serve):
    from sampan.server.model import Model

    class Explains(Model):
        def explain(self, payload, headers=None):  # noqa: ARG002  # KServe's names
            return {"explanations": payload["instances"]}

    model = Explains("e")
    model.load()
    server = await serve(model)
    headers = {**BINARY, "x-secret": "1"}
    answer = await server.ask("POST", "/v1/models/e:explain", '{"instances":[1]}', headers)
    assert answer.body == b'{"explanations": [1]}'
    assert not {"x-secret", "host", "accept"} & answer.headers.keys()

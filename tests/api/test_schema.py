"""How an object is held against a schema: violations, unknown fields, pruning, defaults."""

from typing import Any

import pytest

from sampan.api.schema.fields import completed, unknown_fields
from sampan.api.schema.violations import violations

STRING = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {**STRING, "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
        "mode": {**STRING, "enum": ["all", "none"]},
        "count": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
        "size": {"type": "integer", "format": "int32"},
        "flag": {"type": "boolean"},
        "amount": {
            "anyOf": [{"type": "integer"}, STRING],
            "pattern": "^[0-9]+m?$",
            "x-kubernetes-int-or-string": True,
            "x-sampan-canonical": True,
        },
        "labels": {"type": "object", "additionalProperties": STRING},
        "tags": {"type": "array", "items": STRING, "minItems": 1, "x-kubernetes-list-type": "set"},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {
                "type": "object",
                "properties": {
                    "port": {"type": "integer"},
                    "protocol": {**STRING, "default": "TCP"},
                },
            },
        },
        "zero": {**STRING, "x-sampan-zero": ""},
        "free": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"known": STRING},
        },
    },
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"name": None},
            'name: Invalid value: "null": name in body must be of type string: "null"',
        ),
        ({"name": "a"}, 'name: Invalid value: "a": name in body should be at least 2 chars long'),
        ({"name": "abcdef"}, "name: Too long: may not be more than 5 bytes"),
        ({"name": "a-b"}, "name: Invalid value: \"a-b\": name in body should match '^[a-z]+$'"),
        ({"name": "ab\n"}, "name: Invalid value: \"ab\\n\": name in body should match '^[a-z]+$'"),
        ({"mode": "some"}, 'mode: Unsupported value: "some": supported values: "all", "none"'),
        (
            {"count": 0},
            "count: Invalid value: 0: count in body should be greater than or equal to 1",
        ),
        (
            {"count": 10},
            "count: Invalid value: 10: count in body should be less than or equal to 9",
        ),
        (
            {"size": 2**31},
            (
                "size: Invalid value: 2147483648: size in body should be less than or equal to "
                "2147483647"
            ),
        ),
        (
            {"count": True},
            'count: Invalid value: "boolean": count in body must be of type integer: "boolean"',
        ),
        (
            {"count": 1.5},
            'count: Invalid value: "number": count in body must be of type integer: "number"',
        ),
        (
            {"flag": "yes"},
            'flag: Invalid value: "string": flag in body must be of type boolean: "string"',
        ),
        (
            {"amount": 0.5},
            (
                'amount: Invalid value: "number": amount in body must be of type integer,string: '
                '"number"'
            ),
        ),
        (
            {"amount": "much"},
            "amount: Invalid value: \"much\": amount in body should match '^[0-9]+m?$'",
        ),
        (
            {"labels": {"a": 1}},
            (
                'labels.a: Invalid value: "integer": labels.a in body must be of type string: '
                '"integer"'
            ),
        ),
        (
            {"labels": []},
            'labels: Invalid value: "array": labels in body must be of type object: "array"',
        ),
        ({"tags": []}, "tags: Invalid value: 0: tags in body should have at least 1 items"),
        ({"tags": ["a", "a"]}, 'tags[1]: Duplicate value: "a"'),
        (
            {"ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "TCP"}]},
            'ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}',
        ),
    ],
)
def test_a_violation_reads_as_the_api_servers(fields: dict[str, Any], expected: str) -> None:
    assert [str(e) for e in violations(SCHEMA, {"name": "abc", **fields})] == [expected]


def test_all_violations_are_found_at_once_missing_fields_first() -> None:
    found = violations(SCHEMA, {"mode": "some", "count": 0, "tags": [1, 2]})
    assert [e.path for e in found] == ["name", "mode", "count", "tags[0]", "tags[1]"]
    assert [e.reason for e in found[:2]] == ["FieldValueRequired", "FieldValueNotSupported"]


@pytest.mark.parametrize("fields", [{"count": 2.0}, {"amount": 5}, {"amount": "5m"}, {"free": {}}])
def test_what_the_schema_allows_is_no_violation(fields: dict[str, Any]) -> None:
    assert violations(SCHEMA, {"name": "abc", **fields}) == []


def test_unknown_fields_are_named_with_the_nearest_known_one() -> None:
    obj = {"nmae": "x", "ports": [{"protokol": "TCP"}], "labels": {"any": "x"}, "xyzzy": 1}
    assert [e.message for e in unknown_fields(SCHEMA, obj)] == [
        'unknown field "nmae"; did you mean "name"',
        'unknown field "ports[0].protokol"; did you mean "protocol"',
        'unknown field "xyzzy"',
    ]


def test_fields_below_one_that_keeps_everything_are_known() -> None:
    assert unknown_fields(SCHEMA, {"free": {"other": {"deep": 1}, "known": "x"}}) == []


def test_completing_prunes_drops_nulls_and_fills_defaults() -> None:
    obj = {"name": "abc", "other": 1, "mode": None, "ports": [{"port": 1, "protocol": None}]}
    assert completed(SCHEMA, obj) == {"name": "abc", "ports": [{"port": 1, "protocol": "TCP"}]}


def test_completing_as_the_webhook_adds_zero_values_and_canonical_quantities() -> None:
    assert completed(SCHEMA, {"amount": "1000m"}, webhook=True) == {"amount": "1", "zero": ""}
    assert completed(SCHEMA, {"amount": "1000m"}) == {"amount": "1000m"}
    assert completed(SCHEMA, {"amount": "much"}, webhook=True) == {"amount": "much", "zero": ""}


def test_a_field_far_down_is_found(admit: Any, service: Any) -> None:
    from sampan.api.scheme import REGISTRY

    resource = REGISTRY.get("inferenceservices.serving.kserve.io")
    assert resource.unknown is not None
    obj = service({"modle": {}, "containers": [{"env": [{"nam": "x"}]}]})
    assert [e.message for e in resource.unknown(obj)] == [
        'unknown field "spec.predictor.containers[0].env[0].nam"; did you mean "name"',
        'unknown field "spec.predictor.modle"; did you mean "model"',
    ]


def one(**container: Any) -> dict[str, Any]:
    return {"containers": [container]}


FIRST = "containers[0]"


@pytest.mark.parametrize(
    ("predictor", "path"),
    [
        ({"minReplicas": "two"}, "minReplicas"),
        ({"timeout": "10s"}, "timeout"),
        ({"containers": {}}, "containers"),
        (one(env=[{"value": "x"}]), f"{FIRST}.env[0].name"),
        (one(env=[{"name": "a", "value": 1}]), f"{FIRST}.env[0].value"),
        (one(env=[{"name": "a"}, {"name": "a"}]), f"{FIRST}.env[1]"),
        (one(resources={"limits": {"cpu": "lots"}}), f"{FIRST}.resources.limits.cpu"),
        (one(ports=[{"name": "http"}]), f"{FIRST}.ports[0].containerPort"),
        ({"name": "V2"}, "name"),
        ({"storageUris": []}, "storageUris"),
    ],
)
def test_a_mistake_in_a_pod_is_found_at_its_place(
    admit: Any, service: Any, predictor: Any, path: str
) -> None:
    assert f"spec.predictor.{path}" in [e.path for e in admit(service(predictor)).errors]

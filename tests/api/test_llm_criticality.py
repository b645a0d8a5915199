"""How urgent a model's requests are: a field of v1alpha1, annotations of what is stored."""

from typing import Any

import pytest

from sampan.api.llminferenceservice.conversion import OLDER, STORED, make_older, make_stored
from sampan.api.llminferenceservice.criticality import ADAPTERS, MODEL
from sampan.api.llminferenceservice.parts import NOTHING, part_at

Json = dict[str, Any]
MINE = {"mine": "kept"}


def older(model: Json, notes: Json | None = None) -> Json:
    metadata = {"name": "m", **({"annotations": notes} if notes else {})}
    return {"apiVersion": OLDER, "metadata": metadata, "spec": {"model": {"uri": "x", **model}}}


def stored(model: Json, notes: Json) -> Json:
    return {**older(model, notes), "apiVersion": STORED}


A, B = {"name": "a"}, {"name": "b"}


@pytest.mark.parametrize(
    ("field", "plain", "notes"),
    [
        pytest.param({"criticality": "Critical"}, {}, {MODEL: "Critical"}, id="of the model"),
        pytest.param(
            {"lora": {"adapters": [A, {**B, "criticality": "Sheddable"}]}},
            {"lora": {"adapters": [A, B]}},
            {ADAPTERS: '{"1":"Sheddable"}'},
            id="of the second adapter",
        ),
        pytest.param(
            {"criticality": "Standard", "lora": {"adapters": [{**A, "criticality": "Critical"}]}},
            {"lora": {"adapters": [A]}},
            {MODEL: "Standard", ADAPTERS: '{"0":"Critical"}'},
            id="of both",
        ),
    ],
)
def test_it_is_stored_as_annotations_and_comes_back(field: Json, plain: Json, notes: Json) -> None:
    assert make_stored(older(field)) == stored(plain, notes)
    assert make_older(stored(plain, notes)) == older(field)
    assert make_stored(older(field, MINE)) == stored(plain, {**MINE, **notes})
    assert make_older(stored(plain, {**MINE, **notes})) == older(field, MINE)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"criticality": "Urgent"}, id="a level that there is not"),
        pytest.param({"lora": {"adapters": "none"}}, id="adapters that are no list"),
        pytest.param({"lora": {"adapters": ["a"]}}, id="an adapter that is a text"),
    ],
)
def test_what_cannot_be_read_stays_where_it_is(model: Json) -> None:
    assert make_stored(older(model)) == {**older(model), "apiVersion": STORED}


def test_an_annotation_of_a_level_that_there_is_not_stays_one() -> None:
    notes = {MODEL: "Urgent"}
    assert make_older(stored({}, notes)) == older({}, notes)


@pytest.mark.parametrize("pool", ["a text", None, {}, {"selector": None}, {"targetPorts": []}])
def test_a_pool_of_any_form_becomes_one_that_an_older_client_can_read(pool: Any) -> None:
    spec = {"router": {"scheduler": {"pool": {"spec": pool}}}}
    made = make_older({"apiVersion": STORED, "metadata": {"name": "m"}, "spec": spec})
    assert made["apiVersion"] == OLDER
    assert make_stored(made)["spec"] == spec


def test_there_is_nothing_below_what_is_no_object() -> None:
    assert part_at({"spec": "text"}, ("spec", "model")) is NOTHING
    assert not NOTHING

"""Server-side apply: ownership, conflicts, pruning, and its meeting with other writers."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.apply import LAST_APPLIED, Request, make_applied, make_tracked
from sampan.machinery.errors import BadRequest, Conflict
from sampan.machinery.field_sets import fields_of, make_fields, parse_fields_v1
from sampan.machinery.registry import JsonObject, Resource

BOAT = Resource("boats.dev", "v1", "Sampan", "sampans", status_subresource=True)


def boat(spec: JsonObject | None = None, **metadata: Any) -> JsonObject:
    obj: JsonObject = {
        "apiVersion": "boats.dev/v1",
        "kind": "Sampan",
        "metadata": {"name": "mei", "namespace": "canton", **metadata},
    }
    return obj if spec is None else {**obj, "spec": spec}


def apply(
    live: JsonObject | None, applied: JsonObject, manager: str = "me", *, force: bool = False
) -> JsonObject:
    return make_applied(BOAT, live, applied, Request(manager, 60.0, force=force))


def update(live: JsonObject | None, new: JsonObject, manager: str = "ed") -> JsonObject:
    return make_tracked(BOAT, live, new, Request(manager, 120.0))


def fields(obj: JsonObject, manager: str, operation: str = "Apply") -> Any:
    entries = [
        e["fieldsV1"]
        for e in obj["metadata"].get("managedFields", ())
        if (e["manager"], e["operation"]) == (manager, operation)
    ]
    return entries[0] if entries else None


def pod(*containers: JsonObject) -> JsonObject:
    return {"template": {"spec": {"containers": list(containers)}}}


def test_the_applier_owns_leaves_and_list_items_by_key() -> None:
    made = apply(
        None,
        boat(pod({"name": "c", "image": "i", "ports": [{"containerPort": 80}]}), labels={"a": "1"}),
    )
    (entry,) = made["metadata"]["managedFields"]
    assert entry == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "boats.dev/v1",
        "time": "1970-01-01T00:01:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {
                "f:template": {
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"c"}': {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    'k:{"containerPort":80,"protocol":"TCP"}': {
                                        ".": {},
                                        "f:containerPort": {},
                                    }
                                },
                            }
                        }
                    }
                }
            },
        },
    }


def test_an_object_without_any_field_can_be_applied_and_applied_again() -> None:
    made = apply(None, boat())
    assert made["metadata"]["name"] == "mei"
    assert apply(made, boat()) == made


def test_applying_the_same_again_changes_nothing() -> None:
    made = apply(None, boat({"oars": 2, "crew": [{"a": 1}]}))
    again = make_applied(BOAT, made, boat({"oars": 2, "crew": [{"a": 1}]}), Request("me", 999.0))
    assert again == made


def test_another_manager_with_another_value_conflicts_in_upstreams_words() -> None:
    live = apply(None, boat({"oars": 2}))
    with pytest.raises(Conflict) as caught:
        apply(live, boat({"oars": 4}), "you")
    status = caught.value.status()
    assert status["code"] == 409
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "me": .spec.oars'
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "me"',
            "field": ".spec.oars",
        }
    ]


def test_several_conflicts_are_listed_by_manager() -> None:
    live = update(None, boat({"oars": 2, **pod({"name": "c", "image": "1"})}), "kubectl-edit")
    with pytest.raises(Conflict) as caught:
        apply(live, boat({"oars": 4, **pod({"name": "c", "image": "2"})}))
    assert str(caught.value) == (
        "Apply failed with 2 conflicts: conflicts with "
        '"kubectl-edit" using boats.dev/v1 at 1970-01-01T00:02:00Z:\n'
        "- .spec.oars\n"
        '- .spec.template.spec.containers[name="c"].image'
    )


def test_the_same_value_is_owned_by_both() -> None:
    live = apply(None, boat({"oars": 2}))
    both = apply(live, boat({"oars": 2}), "you")
    assert fields(both, "me") == fields(both, "you") == {"f:spec": {"f:oars": {}}}


def test_force_takes_the_field_over() -> None:
    live = apply(None, boat({"oars": 2, "mast": 1}))
    forced = apply(live, boat({"oars": 4}), "you", force=True)
    assert forced["spec"] == {"oars": 4, "mast": 1}
    assert fields(forced, "me") == {"f:spec": {"f:mast": {}}}


def test_a_field_no_longer_applied_goes_unless_another_owns_it() -> None:
    live = apply(None, boat({"oars": 2, "mast": 1}, labels={"a": "1", "b": "2"}))
    live = apply(live, boat({"mast": 1}), "you")
    after = apply(live, boat({}, labels={"b": "2"}))
    assert after["spec"] == {"mast": 1}
    assert after["metadata"]["labels"] == {"b": "2"}


def test_an_item_no_longer_applied_goes_with_what_was_defaulted_into_it() -> None:
    live = apply(None, boat(pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"})))
    live["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always"
    after = apply(live, boat(pod({"name": "a", "image": "1"})))
    assert after["spec"] == pod({"name": "a", "image": "1"})


def test_an_item_in_which_another_owns_a_field_stays_with_that_field() -> None:
    live = apply(None, boat(pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"})))
    live = apply(live, boat(pod({"name": "b", "tty": True})), "you")
    after = apply(live, boat(pod({"name": "a", "image": "1"})))
    assert after["spec"] == pod({"name": "a", "image": "1"}, {"name": "b", "tty": True})


def test_two_appliers_share_a_keyed_list() -> None:
    live = apply(None, boat(pod({"name": "a", "image": "1"})))
    both = apply(live, boat(pod({"name": "b", "image": "2"})), "you")
    assert [c["name"] for c in both["spec"]["template"]["spec"]["containers"]] == ["b", "a"]
    back = apply(both, boat(), "you")
    assert back["spec"] == pod({"name": "a", "image": "1"})


def test_an_atomic_list_is_replaced_and_owned_whole() -> None:
    live = apply(None, boat({"args": ["1", "2"]}))
    with pytest.raises(Conflict, match=r"\.spec\.args"):
        apply(live, boat({"args": ["3"]}), "you")
    assert apply(live, boat({"args": ["3"]}))["spec"] == {"args": ["3"]}


def test_an_update_owns_what_it_changed_and_takes_it_from_others() -> None:
    live = apply(None, boat({"oars": 2, "mast": 1}))
    new = copy.deepcopy(live)
    new["spec"] = {"oars": 3, "mast": 1, "sail": {"m2": 9}}
    after = update(live, new)
    assert fields(after, "ed", "Update") == {
        "f:spec": {"f:oars": {}, "f:sail": {".": {}, "f:m2": {}}}
    }
    assert fields(after, "me") == {"f:spec": {"f:mast": {}}}
    with pytest.raises(Conflict, match=r'conflict with "ed" using boats.dev/v1 at'):
        apply(after, boat({"oars": 2, "mast": 1}))


def test_an_update_without_managed_fields_keeps_those_known() -> None:
    live = apply(None, boat({"oars": 2}))
    after = update(live, boat({"oars": 2, "mast": 1}))
    assert fields(after, "me") == {"f:spec": {"f:oars": {}}}


@pytest.mark.parametrize("empty", [[], [{}]])
def test_an_empty_managed_fields_forgets_everyone(empty: list[Any]) -> None:
    live = apply(None, boat({"oars": 2}))
    new = copy.deepcopy(live)
    new["metadata"]["managedFields"] = empty
    assert "managedFields" not in update(live, new)["metadata"]


def test_the_oldest_of_more_than_ten_updaters_become_one() -> None:
    live = apply(None, boat({"oars": 2}))
    for n in range(15):
        new = copy.deepcopy(live)
        new["spec"][f"part{n}"] = n
        live = make_tracked(BOAT, live, new, Request(f"client{n}", 100.0 + n))
    managers = [e["manager"] for e in live["metadata"]["managedFields"]]
    assert managers == ["me", "ancient-changes", *(f"client{n}" for n in range(6, 15))]
    ancient = fields(live, "ancient-changes", "Update")
    assert ancient == {"f:spec": {f"f:part{n}": {} for n in range(6)}}


def test_status_is_owned_through_its_own_door() -> None:
    live = apply(None, boat({"oars": 2}))
    new = {**copy.deepcopy(live), "status": {"afloat": True}}
    new["spec"]["oars"] = 99
    after = make_tracked(BOAT, live, new, Request("keeper", 120.0, "status"))
    entry = after["metadata"]["managedFields"][-1]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {".": {}, "f:afloat": {}}}
    assert fields(update(live, new, "x"), "x", "Update") == {"f:spec": {"f:oars": {}}}


def test_applying_to_an_object_without_managers_respects_what_was_there() -> None:
    with pytest.raises(Conflict, match=r'"before-first-apply" using boats.dev/v1'):
        apply(boat({"oars": 2}), boat({"oars": 3}))
    after = apply(boat({"oars": 2}), boat({"mast": 1}))
    assert after["spec"] == {"oars": 2, "mast": 1}


def client_side_applied(spec: JsonObject) -> JsonObject:
    text = json.dumps(boat(spec))
    return update(None, boat(spec, annotations={LAST_APPLIED: text}), "kubectl-client-side-apply")


def test_kubectl_apply_server_side_follows_kubectl_apply_without_conflict() -> None:
    live = client_side_applied({"oars": 2, "mast": 1})
    after = apply(live, boat({"oars": 5}), "kubectl")
    assert after["spec"]["oars"] == 5
    kept = json.loads(after["metadata"]["annotations"][LAST_APPLIED])
    assert kept["spec"] == {"oars": 5}, "a later kubectl apply sees what was applied"


def test_what_someone_else_changed_since_kubectl_apply_still_conflicts() -> None:
    live = client_side_applied({"oars": 2})
    scaled = copy.deepcopy(live)
    scaled["spec"]["oars"] = 3
    live = update(live, scaled, "scaler")
    with pytest.raises(Conflict, match='conflict with "scaler"'):
        apply(live, boat({"oars": 2}), "kubectl")


def test_only_kubectl_inherits_from_kubectl_apply() -> None:
    with pytest.raises(Conflict, match="kubectl-client-side-apply"):
        apply(client_side_applied({"oars": 2}), boat({"oars": 5}), "argocd")


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        (boat(managedFields=[{"manager": "x"}]), "metadata.managedFields must be nil"),
        (boat(pod({"image": "x"})), 'omits a key field of "name"'),
        (boat(pod({"name": "x"}, {"name": "x"})), 'duplicate entries for key .name="x"'),
    ],
)
def test_what_cannot_be_applied_is_refused(applied: JsonObject, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        apply(None, applied)


def test_an_apply_needs_a_manager() -> None:
    with pytest.raises(BadRequest, match="fieldManager is required"):
        apply(None, boat(), "")


names = st.sampled_from("abc")
containers = st.dictionaries(names, st.sampled_from("12"), max_size=3).map(
    lambda m: [{"name": n, "image": i} for n, i in m.items()]
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "oars": st.integers(0, 2),
        "labels": st.dictionaries(names, st.sampled_from("12"), max_size=2),
        "args": st.lists(names, max_size=2),
        "containers": containers,
    },
)


@given(specs)
def test_fields_survive_their_written_form(spec: JsonObject) -> None:
    fields_ = fields_of({"spec": spec})
    assert parse_fields_v1(make_fields(fields_)) == fields_


@given(specs, specs)
def test_a_sole_applier_gets_exactly_what_it_applied_last(
    first: JsonObject, second: JsonObject
) -> None:
    after = apply(apply(None, boat(first)), boat(second))
    spec = after.get("spec", {})
    for name, value in second.items():
        if name == "containers":
            assert {c["name"]: c for c in spec[name]} == {c["name"]: c for c in value}
        else:
            assert spec[name] == value
    assert all(not spec[name] for name in spec if name not in second)


@given(specs, specs, specs)
def test_what_one_applier_owns_no_other_changes_unforced(
    first: JsonObject, other: JsonObject, again: JsonObject
) -> None:
    live = apply(None, boat(first), "one")
    before = live.get("spec", {})
    for spec in (other, again):
        try:
            live = apply(live, boat(spec), "two")
        except Conflict:
            continue
    for name in ("oars", "args"):
        if name in first:
            assert live["spec"][name] == before[name]
    for label, value in first.get("labels", {}).items():
        assert live["spec"]["labels"][label] == value


@given(specs, specs)
def test_a_forced_apply_never_conflicts_and_wins(first: JsonObject, second: JsonObject) -> None:
    live = apply(apply(None, boat(first), "one"), boat(second), "two", force=True)
    for name in ("oars", "args"):
        if name in second:
            assert live["spec"][name] == second[name]

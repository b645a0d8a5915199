"""From what is there to what should be: when an object is applied, taken over, deleted or left."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.platforms.kubernetes.stored_objects import with_defaults

from sampan.machinery.apply import Request, make_applied, make_tracked
from sampan.platforms.kubernetes.children import (
    MANAGER,
    ApplyChild,
    DeleteChild,
    Occupied,
    child_key,
    diff_children,
    find_overwritten,
    is_former,
    is_within,
    make_takeover,
    needs_apply,
    settle,
)
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS

OWNER: dict[str, Any] = {"metadata": {"name": "iris", "uid": "u1"}}
REFERENCE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "name": "iris",
    "uid": "u1",
    "controller": True,
}


def deployment(image: str = "server:1", **spec: Any) -> dict[str, Any]:
    container = {
        "name": "kserve-container",
        "image": image,
        "env": [{"name": "A", "value": "1"}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "iris-predictor",
            "namespace": "ml",
            "labels": {"app": "isvc.iris-predictor"},
            "ownerReferences": [REFERENCE],
        },
        "spec": {
            "selector": {"matchLabels": {"app": "isvc.iris-predictor"}},
            "template": {
                "metadata": {"labels": {"app": "isvc.iris-predictor"}},
                "spec": {"containers": [container]},
            },
            **spec,
        },
    }


def applied(obj: dict[str, Any], live: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object as a server stores it after our apply, with its defaults."""
    made = make_applied(DEPLOYMENTS, live, copy.deepcopy(obj), Request(MANAGER, 1.0, force=True))
    stored = with_defaults(made)
    stored["metadata"] |= {"uid": "d1", "resourceVersion": "7", "generation": 1}
    return stored


def edited(live: dict[str, Any], who: str, change) -> dict[str, Any]:
    changed = copy.deepcopy(live)
    change(changed)
    return make_tracked(DEPLOYMENTS, live, changed, Request(who, 2.0))


def steps(desired, *live):
    return diff_children(desired, {child_key(o): o for o in live}, OWNER)


def container_of(obj):
    return obj["spec"]["template"]["spec"]["containers"][0]


def test_what_is_not_there_is_applied():
    (step,) = steps([deployment()])
    assert isinstance(step, ApplyChild)
    assert not step.takes_over


def test_what_is_as_it_should_be_is_left_with_all_its_defaults():
    assert steps([deployment()], applied(deployment())) == ()


def test_a_quantity_in_another_form_is_the_same():
    live = applied(deployment())
    container_of(live)["resources"]["limits"]["cpu"] = "1"
    assert steps([deployment()], live) == ()


def test_a_change_is_applied():
    (step,) = steps([deployment("server:2")], applied(deployment()))
    assert isinstance(step, ApplyChild)


def test_what_is_not_wanted_any_more_is_applied_away():
    less = deployment()
    del container_of(less)["env"]
    live = applied(deployment())
    (step,) = steps([less], live)
    after = applied(step.obj, live)
    assert "env" not in container_of(after)
    assert steps([less], after) == ()


def test_another_manager_s_field_is_left():
    live = edited(applied(deployment()), "scaler", lambda o: o["spec"].update(replicas=5))
    assert steps([deployment()], live) == ()


def test_a_variable_of_another_manager_beside_ours_is_left():
    def add(obj):
        container_of(obj)["env"].append({"name": "B", "value": "2"})

    assert steps([deployment()], edited(applied(deployment()), "injector", add)) == ()


def test_our_field_changed_by_hand_is_applied_and_its_writer_found():
    def change(obj):
        container_of(obj)["image"] = "evil"

    live = edited(applied(deployment()), "kubectl-edit", change)
    (step,) = steps([deployment()], live)
    assert isinstance(step, ApplyChild)
    field, who = find_overwritten(deployment(), live)
    assert who == "kubectl-edit"
    assert field.endswith('containers[name="kserve-container"].image')


def test_kserve_s_object_is_taken_over_though_it_is_as_it_should_be():
    live = with_defaults(make_tracked(DEPLOYMENTS, None, deployment(), Request("manager", 1.0)))
    live["metadata"] |= {"uid": "d1", "resourceVersion": "7"}
    (step,) = steps([deployment()], live)
    assert isinstance(step, ApplyChild)
    assert step.takes_over
    after = applied(deployment(), live)
    assert is_former(after)
    assert steps([deployment()], after), "what was begun is ended"
    _, replaced = make_takeover(after)
    after["metadata"]["managedFields"] = replaced["value"]
    assert not is_former(after)
    assert steps([deployment()], after) == ()


def test_what_is_not_rendered_goes_if_it_is_ours():
    (step,) = steps([], applied(deployment()))
    assert isinstance(step, DeleteChild)


def test_what_is_not_rendered_and_not_ours_stays():
    live = applied(deployment())
    live["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert steps([], live) == ()


def test_a_name_that_somebody_has_is_occupied():
    live = applied(deployment())
    live["metadata"]["ownerReferences"] = []
    (step,) = steps([deployment()], live)
    assert isinstance(step, Occupied)
    assert "belongs to no controller" in step.message


def test_what_is_on_its_way_out_is_waited_for():
    live = applied(deployment())
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert steps([deployment()], live) == ()
    assert steps([], live) == ()


def service(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "iris-predictor", "namespace": "ml", "ownerReferences": [REFERENCE]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def test_the_address_of_a_service_that_is_there_stays():
    live = service(clusterIP="10.0.0.7")
    (step,) = steps([service(clusterIP="None")], live)
    assert isinstance(step, ApplyChild)
    assert step.obj["spec"]["clusterIP"] == "10.0.0.7"


def test_the_models_of_a_multi_model_service_are_left_to_their_trained_models():
    made = {**service(), "kind": "ConfigMap", "data": {"models.json": "[]"}}
    live = applied({**made, "data": {"models.json": '[{"modelName": "a"}]'}})
    assert steps([made], live) == ()
    (step,) = steps([{**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}}], live)
    assert isinstance(step, ApplyChild)
    assert step.obj["data"] == {"models.json": '[{"modelName": "a"}]'}


@pytest.mark.parametrize(
    ("desired", "live", "name", "same"),
    [
        pytest.param({"a": ""}, {}, "", True, id="an empty text is none"),
        pytest.param({"a": {}}, {}, "", True, id="an empty object is none"),
        pytest.param({"a": 0}, {}, "", False, id="a zero is a value"),
        pytest.param([1, 2], [1, 2, 3], "args", False, id="a list is whole"),
        pytest.param(
            {"app": "x"}, {"app": "x", "b": "y"}, "selector", False, id="so is a selector"
        ),
        pytest.param({"cpu": "0.5"}, {"cpu": "500m"}, "limits", True, id="quantities by value"),
        pytest.param({"cpu": "1"}, {"cpu": "2"}, "limits", False, id="another quantity"),
        pytest.param({"cpu": "x"}, {"cpu": "2"}, "limits", False, id="no quantity"),
    ],
)
def test_being_within(desired, live, name, same):
    assert is_within(desired, live, name) is same


WORDS = st.text("abc", min_size=1, max_size=3)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 5),
        "paused": st.booleans(),
        "minReadySeconds": st.integers(0, 9),
        "strategy": st.just({"type": "Recreate"}),
    },
)


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        pytest.param(3, 3, id="several stay until an autoscaler decides"),
        pytest.param(1, None, id="one is what a Deployment has by itself"),
        pytest.param(0, None, id="none would stay none for ever"),
    ],
)
def test_replicas_that_are_to_be_an_autoscalers(count, kept):
    live = applied(deployment("a", replicas=count))
    assert settle(deployment("a"), live)["spec"].get("replicas") == kept


@settings(deadline=None, max_examples=60)
@given(SPECS, SPECS, WORDS, WORDS)
def test_one_apply_brings_any_object_to_any_other_and_a_second_changes_nothing(
    before, after, image, other
):
    live = applied(deployment(image, **before))
    wanted = deployment(other, **after)
    for step in steps([wanted], live):
        assert isinstance(step, ApplyChild)
        live = applied(step.obj, live)
    assert not needs_apply(settle(wanted, live), live)
    assert steps([wanted], live) == ()

"""The three patches: JSON patch, merge patch, strategic merge patch."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.errors import BadRequest, Invalid
from sampan.machinery.patch import json_patch, make_merge_patch, merge_patch, strategic_merge
from sampan.machinery.patch.merge_patch import same_json

scalars = st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


# RFC 6902, appendix A, and Kubernetes's refusals.
@pytest.mark.parametrize(
    ("target", "operations", "expected"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": 1}], {"foo": "bar", "baz": 1}),
        ({"l": [1, 3]}, [{"op": "add", "path": "/l/1", "value": 2}], {"l": [1, 2, 3]}),
        ({"l": [1]}, [{"op": "add", "path": "/l/-", "value": [2]}], {"l": [1, [2]]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"l": [1, 2, 3]}, [{"op": "remove", "path": "/l/1"}], {"l": [1, 3]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        (
            {"a": {"x": 1}, "b": {}},
            [{"op": "move", "from": "/a/x", "path": "/b/y"}],
            {"a": {}, "b": {"y": 1}},
        ),
        ({"l": [1, 2, 3]}, [{"op": "move", "from": "/l/0", "path": "/l/2"}], {"l": [2, 3, 1]}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": {"m~n": 1}}, [{"op": "remove", "path": "/a~1b/m~0n"}], {"a/b": {}}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 1, "extra": "ignored"}], {"a": 1, "b": 1}),
    ],
)
def test_a_json_patch_makes(target: Any, operations: Any, expected: Any) -> None:
    before = copy.deepcopy(target)
    assert json_patch(target, operations) == expected
    assert target == before


@pytest.mark.parametrize(
    ("operations", "error", "message"),
    [
        ({"op": "add"}, BadRequest, "is a list of operations"),
        (["add"], BadRequest, "operation 0: an object"),
        ([{"op": "ad", "path": "/a", "value": 1}], BadRequest, 'did you mean "add"'),
        ([{"op": "add", "path": "a", "value": 1}], BadRequest, '"path" is a JSON pointer'),
        ([{"op": "add", "path": "/a"}], BadRequest, '"value" is missing'),
        ([{"op": "move", "path": "/a"}], BadRequest, '"from" is a JSON pointer'),
        ([{"op": "remove", "path": "/replica"}], Invalid, 'did you mean "replicas"'),
        ([{"op": "add", "path": "/l/3", "value": 1}], Invalid, "index 3 is past the end"),
        ([{"op": "add", "path": "/l/01", "value": 1}], Invalid, '"01" is no list index'),
        ([{"op": "remove", "path": "/l/-"}], Invalid, '"-" is no list index'),
        ([{"op": "add", "path": "/replicas/x", "value": 1}], Invalid, "no object and no list"),
        ([{"op": "test", "path": "/replicas", "value": True}], Invalid, "the test does not hold"),
        ([{"op": "move", "from": "/o", "path": "/o/x"}], Invalid, "moved into itself"),
        (
            [{"op": "add", "path": "/ok", "value": 1}, {"op": "remove", "path": "/no"}],
            Invalid,
            "operation 1 .remove ./no",
        ),
    ],
)
def test_a_json_patch_that_does_not_fit_names_operation_and_path(
    operations: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        json_patch({"replicas": 1, "l": [1, 2], "o": {}}, operations)


def test_copies_that_double_a_document_are_refused_before_they_fill_the_memory() -> None:
    doubling = [{"op": "copy", "from": "/o", "path": f"/o/{n}"} for n in range(60)]
    with pytest.raises(Invalid, match="all copies together take over 3145728 bytes"):
        json_patch({"o": {"a": "x" * 1000}}, doubling)


def test_copies_that_are_small_may_be_many() -> None:
    copies = [{"op": "copy", "from": "/a", "path": f"/o/{n}"} for n in range(1000)]
    assert len(json_patch({"a": "x" * 1000, "o": {}}, copies)["o"]) == 1000


def test_a_value_that_copies_nest_too_deeply_is_refused() -> None:
    nesting = [{"op": "copy", "from": "/o", "path": f"/o{'/a' * 2**n}"} for n in range(12)]
    with pytest.raises(BadRequest, match="nests too deeply"):
        json_patch({"o": {}}, nesting)


@given(
    objects,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "move"]),
                "path": st.sampled_from(["/a", "/b/c", "/a/0", "/d/-", ""]),
                "from": st.sampled_from(["/a", "/b"]),
                "value": values,
            }
        ),
        max_size=4,
    ),
)
def test_any_json_patch_is_applied_whole_or_refused(target: Any, operations: Any) -> None:
    before = copy.deepcopy(target)
    # Anything but these fails the test.
    with contextlib.suppress(BadRequest, Invalid):
        json_patch(target, operations)
    assert target == before


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_makes(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


@given(objects, objects)
def test_the_patch_between_two_objects_makes_the_second_of_the_first(
    before: Any, after: Any
) -> None:
    patch = make_merge_patch(before, after)
    assert same_json(merge_patch(before, patch), after)
    assert make_merge_patch(after, after) == {}


@given(objects, objects)
def test_a_merge_patch_twice_is_a_merge_patch_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert same_json(merge_patch(once, patch), once)


def container(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param(
            {"containers": [container("a", image="1"), container("b")]},
            {"containers": [container("b", image="2")]},
            {"containers": [container("a", image="1"), container("b", image="2")]},
            id="containers merge by name",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "C", "value": "3"}, {"name": "B", "value": "9"}]},
            {"env": [{"name": n, "value": v} for n, v in (("C", "3"), ("A", "1"), ("B", "9"))]},
            id="env merges by name, new items before those of the original",
        ),
        pytest.param(
            {"ports": [{"containerPort": 80, "name": "h"}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 9}]},
            {
                "ports": [
                    {"containerPort": 80, "name": "h", "protocol": "TCP"},
                    {"containerPort": 9},
                ]
            },
            id="ports merge by containerPort",
        ),
        pytest.param(
            {"ports": [{"port": 80, "targetPort": 1}]},
            {"ports": [{"port": 80, "targetPort": 2}]},
            {"ports": [{"port": 80, "targetPort": 2}]},
            id="ports of a Service merge by port",
        ),
        pytest.param(
            {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "x", "readOnly": True}]},
            id="volumeMounts merge by mountPath",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}], "args": ["1", "2"], "command": ["x"]},
            {"tolerations": [{"key": "b"}], "args": ["3"], "command": []},
            {"tolerations": [{"key": "b"}], "args": ["3"], "command": []},
            id="tolerations, args and command are replaced",
        ),
        pytest.param(
            {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
            {"resources": {"limits": {"cpu": "2", "memory": None}}},
            {"resources": {"limits": {"cpu": "2"}}},
            id="resources merge as maps, null removes",
        ),
        pytest.param(
            {"containers": [container("a"), container("b")]},
            {"containers": [{"$patch": "delete", "name": "a"}]},
            {"containers": [container("b")]},
            id="$patch delete takes an item out",
        ),
        pytest.param(
            {"containers": [container("a"), container("b")]},
            {"containers": [{"$patch": "replace"}, container("c")]},
            {"containers": [container("c")]},
            id="$patch replace in a list replaces it",
        ),
        pytest.param(
            {"securityContext": {"a": 1, "b": 2}},
            {"securityContext": {"$patch": "replace", "c": 3}},
            {"securityContext": {"c": 3}},
            id="$patch replace in an object replaces it",
        ),
        pytest.param(
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"x": 1}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
            id="$retainKeys drops the others",
        ),
        pytest.param(
            {"env": [{"name": "A"}, {"name": "B"}, {"name": "C"}]},
            {"$setElementOrder/env": [{"name": "C"}, {"name": "B"}, {"name": "A"}]},
            {"env": [{"name": "C"}, {"name": "B"}, {"name": "A"}]},
            id="$setElementOrder orders",
        ),
        pytest.param(
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["c", "b"]}},
            id="finalizers are a set, $deleteFromPrimitiveList takes out",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {
                "volumes": [
                    {"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/"}}
                ]
            },
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            id="a volume changes its source with $retainKeys",
        ),
    ],
)
def test_a_strategic_merge_patch_makes(target: Any, patch: Any, expected: Any) -> None:
    before, given_ = copy.deepcopy(target), copy.deepcopy(patch)
    assert strategic_merge(target, patch) == expected
    assert (target, patch) == (before, given_)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"containers": [{"image": "x"}]}, 'containers.0.: no "name"'),
        ({"spec": {"$patch": "erase"}}, 'spec: .patch is "erase"'),
        ({"args": [{"$patch": "delete"}]}, "a list without merge key"),
        ({"s": {"$retainKeys": ["a"], "b": 1}}, "leaves out what the patch sets: b"),
        ({"$setElementOrder/env": {}}, "env: a list is expected"),
    ],
)
def test_a_bad_directive_is_named_with_its_path(patch: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        strategic_merge({}, patch)


envs = st.lists(st.sampled_from("ABCDE"), unique=True).map(lambda n: [{"name": x} for x in n])


@given(envs, envs)
def test_a_keyed_list_holds_each_name_of_both_once_and_merging_twice_changes_nothing(
    target: Any, patch: Any
) -> None:
    once = strategic_merge({"env": target}, {"env": patch})
    names = [e["name"] for e in once["env"]]
    assert sorted(names) == sorted({e["name"] for e in (*target, *patch)})
    assert strategic_merge(once, {"env": patch}) == once


@given(objects)
def test_the_empty_patch_changes_nothing(target: Any) -> None:
    assert strategic_merge(target, {}) == target
    assert merge_patch(target, {}) == target
    assert json_patch(target, []) == target

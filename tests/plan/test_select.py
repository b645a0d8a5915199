"""Which runtime is selected, in which words none is, and why each other one was passed over."""

from __future__ import annotations

import pytest

from sampan.plan.candidates import lowest_protocol
from sampan.plan.select import select_runtime
from sampan.plan.types import RuntimeScope


def entry(name, version=None, priority=None, auto=True):
    found = {"name": name, "autoSelect": auto}
    if version:
        found["version"] = version
    if priority:
        found["priority"] = priority
    return found


def stamped(stamp):
    return {"creationTimestamp": stamp}


AUTOMATIC = {
    "the only one that supports the format": (
        {},
        [],
        [("a", {}), ("b", {"formats": ("xgboost",)})],
        "a",
    ),
    "a format with a version asked for by name only": (
        {},
        [],
        [("a", {"formats": ("sklearn:1",)})],
        "a",
    ),
    "the version that is asked for": (
        {"modelFormat": {"name": "sklearn", "version": "2"}},
        [],
        [("a", {"formats": ("sklearn:1",)}), ("b", {"formats": ("sklearn:2",)})],
        "b",
    ),
    "a namespaced one before any of the cluster": (
        {},
        [("z", {})],
        [("a", {"formats": (entry("sklearn", "1", 9),)})],
        "z",
    ),
    "the higher priority": (
        {},
        [],
        [
            ("a", {"formats": (entry("sklearn", "1", 1),)}),
            ("b", {"formats": (entry("sklearn", "1", 2),)}),
        ],
        "b",
    ),
    "one with a priority before one without": (
        {},
        [],
        [
            ("a", {"formats": (entry("sklearn", "1"),)}),
            ("b", {"formats": (entry("sklearn", "1", 1),)}),
        ],
        "b",
    ),
    "the priority of the first entry of that name counts": (
        {"modelFormat": {"name": "sklearn", "version": "2"}},
        [],
        [
            ("a", {"formats": (entry("sklearn", "1", 1), entry("sklearn", "2", 9))}),
            ("b", {"formats": (entry("sklearn", "2", 2),)}),
        ],
        "b",
    ),
    "the lower protocol among equals": (
        {"protocolVersion": "v2"},
        [],
        [("a", {"protocolVersions": ["v2", "grpc-v2"]}), ("b", {"protocolVersions": ["v2", "v1"]})],
        "b",
    ),
    "one with protocols before one without": (
        {},
        [],
        [("a", {"protocolVersions": []}), ("b", {"protocolVersions": ["v1"]})],
        "b",
    ),
    "the newest among equals": (
        {},
        [],
        [
            ("a", {"metadata": stamped("2026-01-01T00:00:00Z")}),
            ("b", {"metadata": stamped("2026-02-01T00:00:00Z")}),
        ],
        "b",
    ),
    "the first by name among those of one age": ({}, [], [("b", {}), ("a", {})], "a"),
    "one that lists no protocol matches any": (
        {"protocolVersion": "grpc-v2"},
        [],
        [("a", {"protocolVersions": []})],
        "a",
    ),
    "v1 is meant where no protocol is asked for": (
        {},
        [],
        [
            ("a", {"protocolVersions": ["v2"], "formats": (entry("sklearn", "1", 9),)}),
            ("b", {"protocolVersions": ["v1"]}),
        ],
        "b",
    ),
}


@pytest.mark.parametrize("case", AUTOMATIC.values(), ids=AUTOMATIC.keys())
def test_automatic_selection_takes(make, case):
    model, namespaced, cluster, expected = case
    selection = select_runtime(
        make.service(model=model),
        [make.runtime(name, **spec) for name, spec in namespaced],
        [make.runtime(name, **spec) for name, spec in cluster],
    )
    assert selection.blocked is None
    assert selection.name == expected
    in_namespace = expected in dict(namespaced)
    assert selection.scope is (RuntimeScope.NAMESPACE if in_namespace else RuntimeScope.CLUSTER)


NEVER = {
    "a disabled one": ({"disabled": True}, "Disabled", "it is disabled"),
    "one for many models": ({"multiModel": True}, "MultiModel", "multiModel"),
    "one of another format": ({"formats": ("onnx",)}, "FormatNotSupported", '"onnx"'),
    "one of another version": (
        {"formats": ("sklearn:1.0",)},
        "FormatNotSupported",
        '"sklearn:1.0"',
    ),
    "one that is not for automatic selection": (
        {"formats": (entry("sklearn", "1", auto=False),)},
        "NotAutoSelected",
        "only when named",
    ),
    "one of another protocol": (
        {"protocolVersions": ["v2", "grpc-v2"]},
        "ProtocolNotSupported",
        '"v2", "grpc-v2"',
    ),
    "one for several nodes": ({"workerSpec": {}}, "NodesNotSupported", "several nodes"),
}


@pytest.mark.parametrize("case", NEVER.values(), ids=NEVER.keys())
def test_automatic_selection_never_takes(make, case):
    spec, reason, words = case
    service = make.service(model={"modelFormat": {"name": "sklearn", "version": "1"}})
    selection = select_runtime(service, [], [make.runtime("a", **spec)])
    assert selection.name == ""
    assert selection.scope is RuntimeScope.NONE
    assert [(r.runtime, r.reason) for r in selection.rejected] == [("a", reason)]
    assert words in selection.rejected[0].message
    assert selection.blocked is not None
    assert selection.blocked.reason == "NoSupportingRuntime"
    assert selection.blocked.transition == "InvalidSpec"


def test_a_runtime_that_fits_and_comes_later_says_what_came_first(make):
    selection = select_runtime(make.service(), [], [make.runtime("a"), make.runtime("b")])
    assert [(r.runtime, r.reason) for r in selection.rejected] == [("b", "Outranked")]
    assert '"a" comes first' in selection.rejected[0].message


NAMED = {
    "needs no autoSelect": ({}, {"formats": (entry("sklearn", "1", auto=False),)}),
    "may be for many models": ({}, {"multiModel": True}),
    "may list other protocols when none is asked for": ({}, {"protocolVersions": ["v2"]}),
    "supports the protocol that is asked for": (
        {"protocolVersion": "v2"},
        {"protocolVersions": ["v2"]},
    ),
    "supports any protocol when it lists none": (
        {"protocolVersion": "grpc-v1"},
        {"protocolVersions": []},
    ),
}


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED.keys())
def test_a_named_runtime(make, case):
    model, spec = case
    selection = select_runtime(
        make.service(model={**model, "runtime": "mine"}), [], [make.runtime("mine", **spec)]
    )
    assert selection.blocked is None
    assert selection.name == "mine"


def test_a_named_runtime_is_looked_for_in_the_namespace_first(make):
    service = make.service(model={"runtime": "mine"})
    selection = select_runtime(service, [make.runtime("mine")], [make.runtime("mine")])
    assert selection.scope is RuntimeScope.NAMESPACE


REFUSED = {
    "is not there": (
        {"runtime": "sklearn-server"},
        {},
        "RuntimeNotRecognized",
        "Waiting for runtime to become available",
    ),
    "is disabled": (
        {"runtime": "a"},
        {"disabled": True},
        "RuntimeDisabled",
        "Specified runtime is disabled",
    ),
    "speaks another protocol": (
        {"runtime": "a", "protocolVersion": "grpc-v2"},
        {},
        "NoSupportingRuntime",
        "Specified runtime does not support specified protocol version",
    ),
    "supports another format": (
        {"runtime": "a", "modelFormat": {"name": "onnx"}},
        {},
        "NoSupportingRuntime",
        "Specified runtime does not support specified framework/version",
    ),
    "supports another version": (
        {"runtime": "a", "modelFormat": {"name": "sklearn", "version": "3"}},
        {},
        "NoSupportingRuntime",
        "Specified runtime does not support specified framework/version",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_named_runtime_is_refused_when_it(make, case):
    model, spec, reason, text = case
    blocked = select_runtime(make.service(model=model), [], [make.runtime("a", **spec)]).blocked
    assert blocked is not None
    assert blocked.reason == reason
    assert blocked.message.startswith(text)
    assert not blocked.message.endswith(".")


def test_the_disabled_check_comes_before_the_protocol_and_that_before_the_format(make):
    model = {"runtime": "a", "protocolVersion": "v9", "modelFormat": {"name": "onnx"}}
    both = select_runtime(make.service(model=model), [], [make.runtime("a", disabled=True)])
    assert both.blocked is not None
    assert both.blocked.reason == "RuntimeDisabled"
    later = select_runtime(make.service(model=model), [], [make.runtime("a")])
    assert later.blocked is not None
    assert "protocol version" in later.blocked.message


def test_a_misspelt_format_is_answered_with_the_installed_ones_and_the_nearest(make):
    service = make.service(namespace="ml", model={"modelFormat": {"name": "sklern"}})
    runtimes = [make.runtime("a"), make.runtime("b", formats=("xgboost", "onnx:1"))]
    blocked = select_runtime(service, [], runtimes).blocked
    assert blocked is not None
    assert blocked.message == (
        "No runtime found to support specified framework/version: no runtime supports "
        '"sklern" with protocol "v1" in namespace "ml"; installed formats: "onnx", "sklearn", '
        '"xgboost"; did you mean "sklearn"'
    )


def test_a_known_format_that_fits_nowhere_is_answered_with_each_runtime_s_reason(make):
    service = make.service(model={"modelFormat": {"name": "onnx"}})
    runtimes = [
        make.runtime("triton", formats=("onnx:1",), protocolVersions=["v2"]),
        make.runtime("off", formats=("onnx:1",), disabled=True),
        make.runtime("other"),
    ]
    blocked = select_runtime(service, [], runtimes).blocked
    assert blocked is not None
    assert '"triton": it speaks "v2", not "v1"' in blocked.message
    assert '"off": it is disabled' in blocked.message
    assert '"other"' not in blocked.message


def test_a_misspelt_runtime_is_answered_with_the_nearest(make):
    service = make.service(model={"runtime": "kserve-sklernserver"})
    blocked = select_runtime(service, [], [make.runtime()]).blocked
    assert blocked is not None
    assert blocked.message.endswith('did you mean "kserve-sklearnserver"')


def test_without_any_runtime_the_message_says_that_none_is_installed(make):
    blocked = select_runtime(make.service(), [], []).blocked
    assert blocked is not None
    assert "installed formats: none" in blocked.message


def test_a_custom_predictor_selects_nothing_and_is_not_blocked(make):
    service = make.service(containers=[{"name": "kserve-container", "image": "mine"}])
    selection = select_runtime(service, [], [make.runtime()])
    assert (selection.name, selection.blocked, selection.rejected) == ("", None, ())


def test_several_nodes_need_a_runtime_for_several_nodes(make):
    runtimes = [make.runtime("one"), make.runtime("many", workerSpec={"pipelineParallelSize": 2})]
    assert select_runtime(make.service(), [], runtimes).name == "one"
    assert select_runtime(make.service(workerSpec={}), [], runtimes).name == "many"


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        (["v2", "v1"], "v1"),
        (["grpc-v2", "grpc-v1"], "grpc-v1"),
        (["grpc-v1", "v2"], "v2"),
        ([], ""),
        (["unknown", "grpc-v2"], "grpc-v2"),
    ],
)
def test_the_lowest_protocol_is_the_first_in_kserve_s_order(make, protocols, expected):
    assert lowest_protocol(make.runtime(protocolVersions=protocols)) == expected

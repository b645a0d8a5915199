"""Which InferenceGraphs are refused, with which words."""

from typing import Any

import pytest

Json = dict[str, Any]


def graph(nodes: Json | None = None, name: str = "g") -> Json:
    step = {"serviceName": "a"}
    given = {"root": {"routerType": "Sequence", "steps": [step]}} if nodes is None else nodes
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodes": given},
    }


def root(*steps: Json, router: str = "Sequence") -> Json:
    return graph({"root": {"routerType": router, "steps": list(steps)}})


ROOTLESS = (
    "root node not found, InferenceGraph needs a node with name 'root' as the root node of the "
    "graph"
)
SUM = (
    "InferenceGraph[g] Node[root] splitter node: the sum of traffic weights for all routing "
    "targets should be 100"
)


@pytest.mark.parametrize(
    ("sent", "path", "text"),
    [
        pytest.param(
            graph(name="1g"),
            "metadata.name",
            'The InferenceGraph "1g" is invalid: a InferenceGraph name must consist of lower case '
            "alphanumeric characters or '-', and must start with alphabetical character. (e.g. "
            '"my-name" or "abc-123", regex used for validation is \'[a-z]([-a-z0-9]*[a-z0-9])?\')',
            id="a name that starts with a digit",
        ),
        pytest.param(
            graph({"first": {"routerType": "Switch"}}),
            "spec.nodes",
            ROOTLESS,
            id="no node is the root",
        ),
        pytest.param(graph({}), "spec.nodes", ROOTLESS, id="no node at all"),
        pytest.param(
            root({"name": "x", "serviceName": "a"}, {"name": "x", "serviceName": "b"}),
            "spec.nodes.root.steps[1].name",
            'Node "root" of InferenceGraph "g" contains more than one step with name "x"',
            id="two steps of one name",
        ),
        pytest.param(
            root({"name": "x", "data": "$request"}),
            "spec.nodes.root.steps[0]",
            'Step 0 ("x") in node "root" of InferenceGraph "g" does not specify an inference '
            "target",
            id="a step that asks nobody",
        ),
        pytest.param(
            root({"serviceName": "a", "serviceUrl": "http://b"}),
            "spec.nodes.root.steps[0]",
            'Step 0 ("") in node "root" of InferenceGraph "g" specifies more than one of '
            "nodeName, serviceName, serviceUrl",
            id="a step that asks two",
        ),
        pytest.param(
            root({"serviceName": "a", "weight": 100}, {"serviceName": "b"}, router="Splitter"),
            "spec.nodes.root.steps[1].weight",
            "InferenceGraph[g] Node[root] Route[b] missing the 'Weight'",
            id="a splitter's step without a weight",
        ),
        pytest.param(
            root({"serviceName": "a", "weight": 99}, router="Splitter"),
            "spec.nodes.root.steps",
            SUM,
            id="a splitter's weights that are no hundred",
        ),
        pytest.param(
            graph({"root": {"routerType": "Splitter"}}),
            "spec.nodes.root.steps",
            SUM,
            id="a splitter without steps",
        ),
    ],
)
def test_a_broken_rule_is_told_in_upstreams_words(
    admit: Any, sent: Json, path: str, text: str
) -> None:
    admitted = admit(sent)
    assert not admitted.errors
    assert admitted.denied == text
    assert [cause.path for cause in admitted.causes] == [path]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(graph(), id="one service"),
        pytest.param(graph({"root": {"routerType": "Switch"}}), id="a node without steps"),
        pytest.param(root({"nodeName": "nowhere"}), id="a node that does not exist"),
        pytest.param(root({"nodeName": "root"}), id="a node that leads back to itself"),
        pytest.param(root({"serviceName": "a"}, {"serviceName": "a"}), id="nameless steps"),
        pytest.param(
            root({"serviceName": "a", "nodeName": "", "serviceUrl": ""}), id="empty targets"
        ),
        pytest.param(
            root(
                {"serviceName": "a", "weight": 30}, {"serviceName": "b", "weight": 70},
                router="Splitter",
            ),
            id="weights that make up a hundred",
        ),
    ],
)  # fmt: skip
def test_what_upstream_lets_through_is_let_through(admit: Any, sent: Json) -> None:
    admitted = admit(sent)
    assert (admitted.obj, admitted.errors, admitted.denied) == (sent, (), "")


def test_all_mistakes_are_told_at_once_upstreams_first(admit: Any) -> None:
    admitted = admit(graph({"first": {"routerType": "Sequence", "steps": [{}]}}, name="1g"))
    assert [cause.path for cause in admitted.causes] == [
        "metadata.name",
        "spec.nodes",
        "spec.nodes.first.steps[0]",
    ]
    assert admitted.denied.startswith('The InferenceGraph "1g" is invalid')


def test_a_graph_without_a_spec_has_no_root(admit: Any) -> None:
    sent = graph()
    del sent["spec"]
    assert admit(sent).denied == ROOTLESS


def test_mistakes_of_schema_and_rules_come_together_where_the_graph_can_be_read(
    admit: Any,
) -> None:
    admitted = admit(root({"serviceName": "a", "dependency": "Firm"}, {}))
    assert [error.path for error in admitted.errors] == [
        "spec.nodes.root.steps[0].dependency",
        "spec.nodes.root.steps[1]",
    ]


def test_labels_and_annotations_that_are_empty_are_dropped(admit: Any) -> None:
    sent = graph()
    sent["metadata"] |= {"labels": {}, "annotations": {}}
    assert admit(sent).obj == graph()

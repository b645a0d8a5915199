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


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(graph(), id="one service"),
        pytest.param(graph({"root": {"routerType": "Switch"}}), id="a node without steps"),
        pytest.param(root({"nodeName": "nowhere"}), id="a node that does not exist"),
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


def node(*steps: Json, router: str = "Sequence") -> Json:
    return {"routerType": router, "steps": list(steps)}


def url(text: str) -> Json:
    return root({"serviceUrl": text})


def doubling(levels: int) -> Json:
    nodes = {f"n{i}": node({"nodeName": f"n{i + 1}"}, {"nodeName": f"n{i + 1}"})
             for i in range(levels)}  # fmt: skip
    return graph(
        {"root": node({"nodeName": "n0"}), **nodes, f"n{levels}": node({"serviceName": "a"})}
    )


def test_credentials_in_an_address_are_not_repeated(admit: Any) -> None:
    assert "secret" not in admit(url("http://me:secret@a/")).denied


def test_an_address_on_loopback_or_in_a_private_network_is_where_services_are(admit: Any) -> None:
    for address in ("http://127.0.0.1:8080/x", "http://10.0.0.7/", "https://models.example.com"):
        assert admit(url(address)).denied == ""


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

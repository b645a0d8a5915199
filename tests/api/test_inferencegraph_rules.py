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


@pytest.mark.parametrize(
    ("sent", "path", "words"),
    [
        pytest.param(
            root({"nodeName": "root"}), "nodeName",
            'nodes lead back to themselves: "root" -> "root"; a request would never end',
            id="a node that names itself",
        ),
        pytest.param(
            graph({"root": node({"nodeName": "a"}), "a": node({"nodeName": "b"}),
                   "b": node({"serviceName": "x"}, {"nodeName": "a"})}), "nodeName",
            '"a" -> "b" -> "a"',
            id="nodes in a circle",
        ),
        pytest.param(
            doubling(12), "nodeName", "can make 4096 calls, and 1000 are allowed",
            id="nodes that double at every level",
        ),
        pytest.param(
            graph({"root": node({"nodeName": "n0"}),
                   **{f"n{i}": node({"nodeName": f"n{i + 1}"}) for i in range(40)},
                   "n40": node({"serviceName": "a"})}),
            "nodeName", "levels of nodes, and 32 are allowed",
            id="nodes too deep inside each other",
        ),
        pytest.param(
            root({"serviceName": "a", "condition": "instances.#(x==1"}, router="Switch"),
            "condition", "at position",
            id="a condition whose bracket is not closed",
        ),
        pytest.param(
            root({"serviceName": "a", "condition": "a..b"}, router="Switch"),
            "condition", '"a..b": a name is missing at position 2',
            id="a condition without a name",
        ),
        pytest.param(url("ftp://a/b"), "serviceUrl", '"ftp://a/b" cannot be called', id="ftp"),
        pytest.param(url("a:8080"), "serviceUrl", '"a:8080" cannot be called', id="no scheme"),
        pytest.param(url("http://"), "serviceUrl", "cannot be called", id="no host"),
        pytest.param(url("http://a:99999/"), "serviceUrl", "Port out of range", id="no port"),
        pytest.param(
            url("http://me:secret@a/"), "serviceUrl", "send credentials as a header",
            id="credentials in a URL",
        ),
        pytest.param(
            url("http://a/b c"), "serviceUrl", 'escape it with "%"', id="a blank in a path"
        ),
        pytest.param(
            url("http://169.254.169.254/latest/meta-data"), "serviceUrl",
            '"169.254.169.254" is a metadata address, which is never called',
            id="the machine's credentials",
        ),
        pytest.param(
            url("http://[::ffff:169.254.169.254]/"), "serviceUrl", "metadata address",
            id="the same in IPv6",
        ),
        pytest.param(
            url("http://metadata.google.internal/"), "serviceUrl", "metadata address",
            id="the same by name",
        ),
        pytest.param(
            url("http://[fe80::1]:80/"), "serviceUrl", "link-local address", id="link-local"
        ),
    ],
)  # fmt: skip
def test_what_can_never_work_is_refused(admit: Any, sent: Json, path: str, words: str) -> None:
    admitted = admit(sent)
    assert not admitted.errors
    assert words in admitted.denied
    assert all(cause.path.endswith(path) for cause in admitted.causes)
    assert "secret" not in admitted.denied


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(
            root({"nodeName": "nowhere"}),
            'leads to node "nowhere", which the graph does not have',
            id="a node that is not there",
        ),
        pytest.param(
            root({"serviceName": "a"}, router="Switch"),
            'never taken; write one, such as "@this"',
            id="a switch's step without a condition",
        ),
        pytest.param(
            root({"serviceName": "a", "condition": "x"}),
            "every request fails; move it to the next step",
            id="a condition on the first step of a sequence",
        ),
        pytest.param(
            root({"serviceName": "a", "condition": "x"}, router="Ensemble"),
            "no effect in a node of type Ensemble",
            id="a condition in an ensemble",
        ),
    ],
)
def test_what_cannot_be_meant_is_warned_about(admit: Any, sent: Json, words: str) -> None:
    admitted = admit(sent)
    assert (admitted.errors, admitted.denied) == ((), "")
    [warning] = admitted.warnings
    assert warning.startswith("spec.nodes.root.steps[0].")
    assert words in warning


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

"""Which options of an InferenceGraph are refused, with which words and at which place."""

from typing import Any

import pytest

Json = dict[str, Any]

OPTIONS = "serving.sampan.dev/graph-options"


def with_options(nodes: Json, text: str) -> Json:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g", "namespace": "default", "annotations": {OPTIONS: text}},
        "spec": {"nodes": nodes},
    }


PIPE: Json = {
    "root": {
        "routerType": "Sequence",
        "steps": [{"serviceName": "a", "name": "first"}, {"nodeName": "inner"}],
    },
    "inner": {
        "routerType": "Switch",
        "steps": [{"serviceName": "a", "condition": "x"}, {"serviceName": "b"}],
    },
    "all": {"routerType": "Ensemble", "steps": [{"serviceName": "a"}]},
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("{", "is no JSON, line 1, column 2: ", id="no JSON"),
        pytest.param('{\n "a":: 1}', "is no JSON, line 2, column 6: ", id="no JSON further down"),
        pytest.param("[]", "is no object; write ", id="an array"),
        pytest.param(
            '{"root/first": {}, "root/first": {}}',
            '"root/first" is written twice; leave one of them out',
            id="a place twice",
        ),
        pytest.param(
            '{"root/frist": {}}',
            'root/frist: the graph has no such node or step; did you mean "root/first"',
            id="a place that is not there",
        ),
        pytest.param('{"root/first": 1}', "root/first: 1 is no object of options", id="no object"),
        pytest.param(
            '{"root/first": {"retries": 3}}',
            "root/first.retries: is no option of a step; there is: timeout, attempts, hedge, ",
            id="an option that is none",
        ),
        pytest.param(
            '{"root/first": {"timeout": 3}}',
            'root/first.timeout: 3 is no time from "1ms" to "24h"; write it as "500ms"',
            id="a time without a unit",
        ),
        pytest.param(
            '{"root/first": {"hedge": "-1s"}}', 'root/first.hedge: "-1s" is no time', id="no time"
        ),
        pytest.param(
            '{"root/first": {"attempts": 11}}',
            "root/first.attempts: 11 is no number from 1 to 10",
            id="too many attempts",
        ),
        pytest.param(
            '{"root/first": {"attempts": true}}',
            "root/first.attempts: True is no number",
            id="attempts that are no number",
        ),
        pytest.param(
            '{"root/first": {"path": "v2"}}',
            'root/first.path: "v2" is no path; write one that begins with "/"',
            id="a path without a slash",
        ),
        pytest.param(
            '{"root/first": {"headers": {"Host": "x"}}}',
            'root/first.headers: "Host" belongs to the connection',
            id="a header of the connection",
        ),
        pytest.param(
            '{"root/first": {"headers": {"x": "a\\r\\nb: c"}}}',
            'root/first.headers: the value of "x" is no text of one line',
            id="a header with a line break",
        ),
        pytest.param(
            '{"root/first": {"body": "$response.a"}}',
            'root/first.body: "$response.a": no answer comes before this step',
            id="an answer before the first step",
        ),
        pytest.param(
            '{"root/first": {"body": {"a": ["$request.#("]}}}',
            'root/first.body: "$request.#(": ',
            id="a path that cannot be read",
        ),
        pytest.param(
            '{"root/first": {"body": "$input"}}',
            'root/first.body: "$input" begins with neither $request nor $response',
            id="a source that is none",
        ),
        pytest.param(
            '{"root/first": {"fallback": {"nodeName": "inner", "serviceUrl": "http://x"}}}',
            "root/first.fallback: {",
            id="two fallbacks",
        ),
        pytest.param(
            '{"root/first": {"fallback": {"serviceUrl": "http://169.254.169.254/"}}}',
            'root/first.fallback: "169.254.169.254" is a metadata address',
            id="a fallback that is never called",
        ),
        pytest.param(
            '{"root/1": {"timeout": "1s"}}',
            'root/1.timeout: the step enters node "inner"; set it on the steps there',
            id="a time limit of a node",
        ),
        pytest.param(
            '{"inner/0": {"mirror": true}}',
            "inner/0.mirror: the step of a Switch is the one that answers",
            id="a mirror in a Switch",
        ),
        pytest.param(
            '{"root/first": {"mirror": true, "attempts": 2}}',
            "root/first.attempts: nobody waits for a mirrored call",
            id="a mirror that is asked again",
        ),
        pytest.param(
            '{"root/first": {"default": true}}',
            "root/first.default: a Sequence chooses by no condition; leave it out",
            id="a default of a Sequence",
        ),
        pytest.param(
            '{"inner/0": {"default": true}}',
            "inner/0.default: the step has a condition",
            id="a default with a condition",
        ),
        pytest.param(
            '{"root": {"collapse": true}}',
            "root.collapse: a node of type Sequence makes no calls at once",
            id="a Sequence that collapses",
        ),
        pytest.param(
            '{"all": {"collapse": 1}}', "all.collapse: 1 is neither true nor false", id="no flag"
        ),
        pytest.param(
            '{"all": {"timeout": "1s"}}',
            "all.timeout: is no option of a node; there is: collapse",
            id="an option of a step at a node",
        ),
    ],
)  # fmt: skip
def test_options_that_are_refused(admit: Any, text: str, told: str) -> None:
    admitted = admit(with_options(PIPE, text))
    assert not admitted.errors
    assert [cause.path for cause in admitted.causes] == [f'metadata.annotations["{OPTIONS}"]']
    assert admitted.denied.startswith(told)


def test_a_fallback_that_leads_back_is_a_circle(admit: Any) -> None:
    text = '{"inner/1": {"fallback": {"nodeName": "root"}}}'
    denied = admit(with_options(PIPE, text)).denied
    assert denied.startswith('nodes lead back to themselves: "root" -> "inner" -> "root"')


def test_options_that_make_sense_are_admitted_without_a_word(admit: Any) -> None:
    text = """{
      "root/first": {"timeout": "500ms", "attempts": 3, "hedge": "100ms", "budget": 10,
                     "headers": {"X-Tenant": "a"}, "path": "/v2/models/m/infer",
                     "fallback": {"serviceName": "spare"}},
      "root/1": {"fallback": {"nodeName": "all"}, "body": {"instances": "$response.predictions"}},
      "inner/1": {"default": true},
      "all": {"collapse": true},
      "all/0": {"mirror": true, "timeout": "5s"}
    }"""
    admitted = admit(with_options(PIPE, text))
    assert (admitted.errors, admitted.denied, admitted.warnings) == ((), "", ())

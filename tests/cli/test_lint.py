"""`sampan lint`: every mistake of every file at once, with its place, and no server."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"

HEAD = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
IRIS = f"{HEAD}metadata:\n  name: iris\nspec:\n  predictor:\n"
MODEL = "    model: {modelFormat: {name: sklearn}, storageUri: gs://b/m}\n"
RUNTIME = """\
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: %s}
spec:
  supportedModelFormats: [{name: mine, version: "1", autoSelect: true, priority: 1}]
  protocolVersions: [v1]
  containers: [{name: kserve-container, image: mine}]
"""

MISTAKES = [
    pytest.param(
        IRIS + "    minReplcas: 2\n" + MODEL,
        'f.yaml:7:5: error: InferenceService "iris": unknown field "spec.predictor.minReplcas"; '
        'did you mean "minReplicas" [FieldValueUnknown]',
        id="an unknown field gets the nearest name",
    ),
    pytest.param(
        IRIS + '    minReplicas: "2"\n' + MODEL,
        'f.yaml:7:5: error: InferenceService "iris": Invalid value: "string": '
        "spec.predictor.minReplicas in body must be of type integer: "
        '"string" [FieldValueTypeInvalid]',
        id="a value of a wrong type",
    ),
    pytest.param(
        IRIS + "    scaleMetric: fps\n" + MODEL,
        'f.yaml:7:5: error: InferenceService "iris": spec.predictor.scaleMetric: Unsupported '
        'value: "fps": supported values: "cpu", "memory", "concurrency", "rps" '
        "[FieldValueNotSupported]",
        id="a word that is not among those allowed",
    ),
    pytest.param(
        IRIS + "    sklearn: {storageUri: gs://b/m, resources: {limits: {nvidia.com/gpu: 1}}}\n",
        'f.yaml:7:58: warning: InferenceService "iris": '
        "spec.predictor.containers[0].resources.limits.nvidia.com/gpu: this machine has no "
        "such device; the model runs on its processor [FieldNotHonoured]",
        id="a field without effect is found where it is written, whatever the stored spelling",
    ),
    pytest.param(
        IRIS + "    sklearn: {}\n    xgboost: {}\n",
        'f.yaml:6:3: error: InferenceService "iris": ',
        id="a rule of the kind",
    ),
    pytest.param(
        IRIS + "    model: {modelFormat: {name: sklern}, storageUri: gs://b/m}\n",
        'f.yaml:7:27: warning: InferenceService "iris": it would not run: ',
        id="a format that no runtime serves is a warning, for a runtime may come",
    ),
    pytest.param(
        IRIS + "    containers: [{name: kserve-container, image: nowhere/none}]\n",
        'f.yaml:6:3: warning: InferenceService "iris": it would not run: image "nowhere/none" does '
        "not run here: ",
        id="an image that nothing stands for here is a warning",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMop\nmetadata: {name: a}\n",
        'f.yaml:2:1: error: ConfigMop "a": unknown kind "ConfigMop" of "v1"; did you mean '
        "ConfigMap (v1)? [UnknownKind]",
        id="an unknown kind gets the nearest one",
    ),
    pytest.param(
        "kind: ConfigMap\n",
        "f.yaml:1:1: error: ConfigMap: an object needs apiVersion and kind, both of them text "
        "[FieldValueRequired]",
        id="an object without apiVersion",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\n",
        "f.yaml:1:1: error: ConfigMap: metadata.name is missing; give the object a name "
        "[FieldValueRequired]",
        id="an object without a name",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 7}\n",
        'f.yaml:3:12: error: ConfigMap "7": metadata.name is 7; write it as "7" '
        "[FieldValueTypeInvalid]",
        id="a name that is a number",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: [a]\n",
        'f.yaml:3:1: error: ConfigMap: metadata is no object; write "name" and others below it '
        "[FieldValueTypeInvalid]",
        id="metadata that is a list",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../etc}\n",
        'f.yaml:3:12: error: ConfigMap "../etc": metadata.name: Invalid value: "../etc": ',
        id="a name that tries to be a path",
    ),
    pytest.param(
        RUNTIME % "one" + "---\n" + RUNTIME % "two",
        'f.yaml:13:3: error: ServingRuntime "two": spec.supportedModelFormats: same priority ',
        id="two runtimes of the same priority, of which both are told",
    ),
    pytest.param(
        IRIS + MODEL + "---\n" + IRIS + MODEL,
        'f.yaml:12:3: error: InferenceService "iris": it is at f.yaml:4:3 too; remove one of them '
        "[DuplicateObject]",
        id="an object that is there twice",
    ),
    pytest.param("- a\n", "f.yaml:1:1: error: the document is a list; ", id="a list"),
]


@pytest.fixture
def folder(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no Sampan that runs."""
    place = nowhere / "files"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_a_finding_has_its_place_its_words_and_its_rule(
    folder: Path, cli: Callable[..., Any], text: str, told: str
) -> None:
    (folder / "f.yaml").write_text(text)
    done = cli("lint", "f.yaml")
    assert any(line.startswith(told) for line in done.out.splitlines()), done.out
    assert done.code == (1 if ": error: " in done.out else 0)


def test_what_is_right_is_passed_with_0_and_counted(folder: Path, cli: Callable[..., Any]) -> None:
    (folder / "f.yaml").write_text(IRIS + MODEL)
    done = cli("lint", ".")
    assert (done.code, done.out) == (0, "")
    assert done.err == "no errors and no warnings in 1 object of 1 file\n"


def test_text_that_is_no_yaml_hides_nothing_of_the_documents_beside_it(
    folder: Path, cli: Callable[..., Any]
) -> None:
    broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\n"
    wrong = IRIS + "    replicas: 1\n" + MODEL
    (folder / "f.yaml").write_text(f"{wrong}---\n{broken}---\n{wrong.replace('iris', 'moss')}")
    (folder / "g.yaml").write_bytes(b"\xff\xfe")
    found = [line.partition(": error")[0] for line in cli("lint", ".").out.splitlines()]
    assert sorted(found) == ["f.yaml:13:1", "f.yaml:20:5", "f.yaml:7:5", "g.yaml:1:1"]


def test_a_key_that_is_written_twice_hides_no_other_mistake(
    folder: Path, cli: Callable[..., Any]
) -> None:
    (folder / "f.yaml").write_text(IRIS + "    replicas: 1\n" + MODEL + MODEL)
    rules = re.findall(r"\[(\w+)\]$", cli("lint", "f.yaml").out, re.MULTILINE)
    assert rules == ["FieldValueUnknown", "Syntax"]


def test_a_relative_path_is_meant_from_the_files_folder_as_when_applied(
    folder: Path, cli: Callable[..., Any]
) -> None:
    (folder / "f.yaml").write_text(IRIS + MODEL.replace("gs://b/m", "./model"))
    assert cli("lint", "f.yaml").code == 0


def test_runtimes_and_configuration_of_the_files_are_used(
    folder: Path, cli: Callable[..., Any]
) -> None:
    (folder / "f.yaml").write_text(IRIS + MODEL.replace("sklearn", "mine"))
    assert "NoSupportingRuntime" in cli("lint", "f.yaml").out
    (folder / "runtime.yaml").write_text(RUNTIME % "mine")
    assert "NoSupportingRuntime" not in cli("lint", ".").out
    (folder / "config.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inferenceservice-config, "
        'namespace: kserve}\ndata: {deploy: \'{"defaultDeploymentMode": "ModelMesh"}\'}\n'
    )
    assert "it holds one model in a process (no multiModel)" in cli("lint", ".").out


def test_strict_ends_with_1_on_warnings_too(folder: Path, cli: Callable[..., Any]) -> None:
    (folder / "f.yaml").write_text(IRIS + "    nodeName: a\n" + MODEL)
    assert cli("lint", "f.yaml").code == 0
    assert cli("lint", "f.yaml", "--strict").code == 1


def test_json_tells_the_same_to_programs(folder: Path, cli: Callable[..., Any]) -> None:
    (folder / "f.yaml").write_text(IRIS + "    nodeName: a\n    minReplcas: 2\n" + MODEL)
    told = json.loads(cli("lint", "f.yaml", "-o", "json").out)
    assert (told["errors"], told["warnings"], told["files"], told["objects"]) == (1, 1, 1, 1)
    assert told["findings"][1] == {
        "file": "f.yaml",
        "line": 8,
        "column": 5,
        "severity": "error",
        "rule": "FieldValueUnknown",
        "object": 'InferenceService "iris"',
        "field": "spec.predictor.minReplcas",
        "message": 'unknown field "spec.predictor.minReplcas"; did you mean "minReplicas"',
    }


def test_sarif_points_at_the_same_places_by_uri(folder: Path, cli: Callable[..., Any]) -> None:
    (folder / "a b.yaml").write_text(IRIS + "    nodeName: a\n    minReplcas: 2\n" + MODEL)
    log = json.loads(cli("lint", "a b.yaml", "-o", "sarif").out)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    places = [r["locations"][0]["physicalLocation"] for r in run["results"]]
    assert [p["region"] for p in places] == [
        {"startLine": 7, "startColumn": 5},
        {"startLine": 8, "startColumn": 5},
    ]
    assert {p["artifactLocation"]["uri"] for p in places} == {"a%20b.yaml"}
    assert [r["level"] for r in run["results"]] == ["warning", "error"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [
        "FieldNotHonoured",
        "FieldValueUnknown",
    ]


def test_standard_input_is_read(
    folder: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: A\n"))
    done = cli("lint", "-")
    assert (done.code, done.out[:19]) == (1, "standard input:1:1:")


def test_files_may_be_named_as_the_other_verbs_name_them(
    folder: Path, cli: Callable[..., Any]
) -> None:
    (folder / "f.yaml").write_text(IRIS + MODEL)
    done = cli("lint", "-f", "f.yaml")
    assert (done.code, done.err) == (0, "no errors and no warnings in 1 object of 1 file\n")


def test_no_file_at_all_is_a_mistake_of_usage(folder: Path, cli: Callable[..., Any]) -> None:
    done = cli("lint")
    assert (done.code, done.out) == (2, "")
    assert "Name files, folders or -" in done.err


def test_a_file_that_is_not_there_is_named(folder: Path, cli: Callable[..., Any]) -> None:
    done = cli("lint", "nothing.yaml")
    assert (done.code, done.err) == (1, 'error: the path "nothing.yaml" does not exist\n')


IN_A_CLUSTER = [
    pytest.param("minReplicas: 0", "minReplicas", id="an HPA keeps one replica"),
    pytest.param("scaleMetric: rps", "scaleMetric", id="an HPA does not count requests"),
    pytest.param("timeout: 5", "timeout", id="a plain Ingress has no place for a timeout"),
    pytest.param("containerConcurrency: 5", "containerConcurrency", id="what Knative alone reads"),
    pytest.param("batcher: {timeout: 5}", "batcher.timeout", id="what nobody reads"),
]


@pytest.mark.parametrize(("line", "field"), IN_A_CLUSTER)
def test_what_no_object_of_a_cluster_would_show_is_named(
    folder: Path, cli: Callable[..., Any], line: str, field: str
) -> None:
    (folder / "f.yaml").write_text(IRIS + f"    {line}\n" + MODEL)
    told = json.loads(cli("lint", "f.yaml", "--platform", "kubernetes", "-o", "json").out)
    assert [f["field"] for f in told["findings"]] == [f"spec.predictor.{field}"]


def test_a_cluster_with_keda_and_routes_of_the_gateway_api_honours_more(
    folder: Path, cli: Callable[..., Any]
) -> None:
    keda = 'annotations: {"serving.kserve.io/autoscalerClass": keda}'
    text = IRIS.replace("name: iris\n", f"name: iris\n  {keda}\n", 1)
    behavior = "autoScaling: {behavior: {scaleUp: {stabilizationWindowSeconds: 5}}}"
    (folder / "f.yaml").write_text(
        f"{text}    minReplicas: 0\n    timeout: 5\n    {behavior}\n{MODEL}"
    )
    (folder / "config.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inferenceservice-config, "
        'namespace: kserve}\ndata:\n  deploy: \'{"defaultDeploymentMode": "Standard"}\'\n'
        '  ingress: \'{"enableGatewayApi": true, "kserveIngressGateway": "a/b", '
        '"ingressGateway": "a/b"}\'\n'
    )
    assert cli("lint", ".", "--platform", "kubernetes").out == ""


@pytest.mark.slow
def test_every_sample_gets_the_verdict_and_the_words_that_the_server_gives(
    here: Path, cli: Callable[..., Any]
) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the samples of KServe are not beside the repository")
    different = {}
    for path in sorted(SAMPLES.glob("*.yaml")):
        # A namespace that is not there is nothing that a file could tell.
        text = re.sub(r"^  namespace: .*$", "", path.read_text(), flags=re.MULTILINE)
        (here / "f.yaml").write_text(text)
        applied = cli("apply", "--dry-run", "server", "-f", "f.yaml")
        found = cli("lint", "f.yaml", "-o", "json")
        messages = "\n".join(f["message"] for f in json.loads(found.out)["findings"])
        said = [*_refused(applied), *re.findall(r"^warning: (.*)", applied.err, re.MULTILINE)]
        unsaid = [line for line in said if line not in messages]
        if applied.code != found.code or unsaid:
            different[path.name] = (applied.code, found.code, unsaid)
    assert different == {}


def _refused(done: Any) -> list[str]:
    """Return the words of a refusal without place and object."""
    text = done.err.removeprefix("error: ") if done.code else ""
    return [
        re.sub(r'^f\.yaml:\d+: (\S+ "[^"]*": )?(<nil>: )?', "", line)
        for line in text.splitlines()
        if line.startswith("f.yaml:")
    ]

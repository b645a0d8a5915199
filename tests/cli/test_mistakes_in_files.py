"""What `sampan apply` says of files that are wrong: each mistake, its place, and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FINE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fine}\n"


def service(name: str, predictor: str) -> str:
    return (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
        f"metadata: {{name: {name}}}\nspec:\n  predictor:\n{predictor}"
    )


MODEL = "    model: {modelFormat: {name: sklearn}, storageUri: /x}\n"

ONE_MISTAKE = [
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n data: {\n",
        "f.yaml:5:2: not YAML: ",
        id="text that is no YAML has its line and column",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, name: b}\n",
        'f.yaml:3:21: key "name" is written twice; remove one of them',
        id="a key that is written twice",
    ),
    pytest.param(
        "- a\n",
        'f.yaml:1:1: the document is a list; write an object with "apiVersion" and "kind"',
        id="a list in place of an object",
    ),
    pytest.param("# nothing\n", "no objects were found in f.yaml", id="a file without objects"),
    pytest.param(
        "kind: ConfigMap\n",
        "f.yaml:1: an object needs apiVersion and kind, both of them text",
        id="an object without apiVersion",
    ),
    pytest.param(
        "apiVersion: 1\nkind: [ConfigMap]\n",
        "f.yaml:1: an object needs apiVersion and kind, both of them text",
        id="a kind that is no text",
    ),
    pytest.param(
        FINE.replace("ConfigMap", "ConfigMop"),
        'f.yaml:1: unknown kind "ConfigMop" of "v1"; did you mean ConfigMap (v1)?',
        id="a kind that is misspelt gets the nearest one",
    ),
    pytest.param(
        FINE.replace("v1", "v2"),
        'f.yaml:1: unknown kind "ConfigMap" of "v2"; did you mean ConfigMap (v1)?',
        id="a version that is not served gets the one that is",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\n",
        "f.yaml:1: ConfigMap: metadata.name is missing; give the object a name",
        id="an object without a name",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: [a]\n",
        'f.yaml:1: ConfigMap: metadata is no object; write "name" and others below it',
        id="metadata that is a list",
    ),
    pytest.param(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 7\n",
        'f.yaml:4: ConfigMap: metadata.name is 7; write it as "7"',
        id="a name that is a number",
    ),
    pytest.param(
        FINE + "data: [a]\n",
        'f.yaml:4: ConfigMap "fine": Invalid value: "array": data in body must be of type object: '
        '"array"',
        id="a value of the wrong type",
    ),
    pytest.param(
        service("a", "    modl: {}\n"),
        'f.yaml:6: InferenceService "a": unknown field "spec.predictor.modl"; did you mean "model"',
        id="an unknown field gets the nearest one",
    ),
    pytest.param(
        service("a", f"    minReplicas: 3\n    maxReplicas: 2\n{MODEL}"),
        "f.yaml:",
        id="more replicas at least than at most",
    ),
    pytest.param(
        service("Bad_Name", MODEL),
        'f.yaml:3: InferenceService "Bad_Name": metadata.name: Invalid value: "Bad_Name"',
        id="a name that is none",
    ),
    pytest.param(
        FINE.replace("{name: fine}", "{name: fine, namespace: nowhere}"),
        'f.yaml:1: namespaces "nowhere" not found; apply a Namespace of that name first, or '
        "correct -n",
        id="a namespace that is not there",
    ),
    pytest.param(
        FINE + "---\n" + FINE,
        'f.yaml:5: ConfigMap "fine" is at f.yaml:1 too; remove one of them',
        id="the same object twice",
    ),
]


@pytest.mark.parametrize(("text", "told"), ONE_MISTAKE)
def test_one_mistake(here: Path, cli: Callable[..., Any], text: str, told: str) -> None:
    (here / "f.yaml").write_text(text)
    done = cli("apply", "-f", "f.yaml")
    assert (done.code, done.out) == (1, "")
    assert len(done.lines) == 1
    assert done.lines[0].startswith(told)


def test_mistakes_of_many_documents_are_told_at_once_in_order_and_nothing_is_applied(
    here: Path, cli: Callable[..., Any]
) -> None:
    texts = [
        FINE,
        service("typos", "    minReplica: 1\n    model:\n      modelFormt: {name: sklearn}\n"),
        FINE.replace("ConfigMap", "ConfigMop"),
        FINE.replace("fine", "wrong") + "data: 7\n",
        "kind: Secret\n",
    ]
    (here / "f.yaml").write_text("---\n".join(texts))
    done = cli("apply", "-f", "f.yaml")
    assert (done.code, done.out) == (1, "")
    assert [line.partition(": ")[0] for line in done.lines] == [
        "f.yaml:10", "f.yaml:12", "f.yaml:14", "f.yaml:21", "f.yaml:23",
    ]  # fmt: skip
    assert cli("get", "cm", "fine").code == 1
    assert cli("get", "isvc", "typos").code == 1


def test_a_warning_says_of_several_objects_which_one_it_is_about(
    here: Path, cli: Callable[..., Any]
) -> None:
    moved = service("a", f"    nodeSelector: {{disk: ssd}}\n{MODEL}")
    (here / "one.yaml").write_text(moved)
    (here / "two.yaml").write_text(FINE + "---\n" + moved)
    alone = cli("apply", "-f", "one.yaml", "--dry-run", "server").err
    assert alone.startswith("warning: spec.predictor.nodeSelector: there is one machine")
    beside = cli("apply", "-f", "two.yaml", "--dry-run", "server").err
    place = 'two.yaml:10: InferenceService "a": spec.predictor.nodeSelector: '
    assert beside.startswith(f"warning: {place}there is one machine")


def test_every_file_of_a_folder_that_does_not_parse_is_told(
    here: Path, cli: Callable[..., Any]
) -> None:
    for name in ("a", "b"):
        (here / f"{name}.yaml").write_text("a: [\n")
    (here / "fine.yaml").write_text(FINE)
    done = cli("apply", "-f", ".")
    assert done.code == 1
    assert [line.partition(": ")[0] for line in done.lines] == ["a.yaml:2:1", "b.yaml:2:1"]
    assert cli("get", "cm", "fine").code == 1


def test_an_object_in_its_own_new_namespace_is_applied(here: Path, cli: Callable[..., Any]) -> None:
    space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: own}\n---\n"
    (here / "f.yaml").write_text(space + FINE.replace("fine", "fine, namespace: own"))
    done = cli("apply", "-f", "f.yaml")
    assert (done.code, done.out) == (0, "namespace/own created\nconfigmap/fine created\n")
    assert cli("delete", "-f", "f.yaml").code == 0


def test_dry_run_tells_what_would_be_and_stores_nothing(
    here: Path, cli: Callable[..., Any]
) -> None:
    (here / "f.yaml").write_text(FINE)
    done = cli("apply", "-f", "f.yaml", "--dry-run", "server")
    assert (done.code, done.out) == (0, "configmap/fine created (server dry run)\n")
    assert cli("get", "cm", "fine").code == 1


@pytest.mark.parametrize(
    ("file", "told"),
    [
        pytest.param("absent.yaml", 'the path "absent.yaml" does not exist', id="no such file"),
        pytest.param("empty", 'folder "empty" holds no .yaml, .yml or .json file', id="no files"),
        pytest.param("binary.yaml", '"binary.yaml" cannot be read: ', id="no text"),
    ],
)
def test_a_file_that_cannot_be_read(
    here: Path, cli: Callable[..., Any], file: str, told: str
) -> None:
    (here / "empty").mkdir()
    (here / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for verb in ("apply", "delete"):
        done = cli(verb, "-f", file)
        assert done.code == 1
        assert done.lines[0].startswith(told)


def test_deleting_an_object_without_a_name_deletes_nothing(
    here: Path, cli: Callable[..., Any]
) -> None:
    """The path of an object without its name is that of all objects of the kind."""
    (here / "fine.yaml").write_text(FINE)
    assert cli("apply", "-f", "fine.yaml").code == 0
    (here / "nameless.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")
    done = cli("delete", "-f", "nameless.yaml")
    assert done.code == 1
    assert done.lines[0].startswith("nameless.yaml:1: metadata.name is missing")
    assert cli("delete", "cm", "").code == 2
    assert cli("get", "cm", "fine").code == 0
    assert cli("delete", "-f", "fine.yaml").code == 0

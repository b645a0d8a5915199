"""The packages: what kubectl and Helm make of them is what `sampan install` prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.app.bootstrap import shipped_runtimes
from sampan.cli.main import main
from sampan.installation.bundle import make_operator, render_yaml
from sampan.installation.options import Options
from sampan.installation.packages import make_chart, make_kustomize

Sorted = list[dict[str, Any]]
DEFINITION = "kind: CustomResourceDefinition\n"


def ordered(objects: Any) -> Sorted:
    return sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))


def write(folder: Path, files: Any) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(text: str) -> Sorted:
    """The objects of a text; of definitions, which have megabytes, the head alone."""
    heads = [re.sub(r"^spec:\n(?: .*\n?)*", "", d, flags=re.MULTILINE) if DEFINITION in d else d
             for d in re.split(r"^---\n", text, flags=re.MULTILINE)]  # fmt: skip
    return [o for o in (yaml.load(d, yaml.CSafeLoader) for d in heads) if o]


def heads(objects: Any) -> Sorted:
    return [
        {k: v for k, v in o.items() if k != "spec"}
        if o["kind"] == "CustomResourceDefinition"
        else o
        for o in objects
    ]


@pytest.mark.slow
def test_kubectl_kustomize_gives_the_same_objects(tmp_path: Path, bundle: Sorted) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    write(tmp_path, make_kustomize(Options(), shipped_runtimes()))
    text = subprocess.run(
        [kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert ordered(read(text)) == ordered(heads(bundle))


def as_helm_renders(text: str, values: dict[str, Any], namespace: str) -> str:
    """The three forms of an action that the chart has."""

    def value(found: re.Match[str]) -> str:
        action = found[1]
        if action == '"{{"':
            return "{{"
        if action == ".Release.Namespace":
            return namespace
        return str(values[action.removeprefix(".Values.")])

    return re.sub(r"\{\{ (\S+) \}\}", value, text)


def test_the_chart_gives_the_same_objects_but_for_the_namespace(bundle: Sorted) -> None:
    files = make_chart(Options(), shipped_runtimes(), "1.2.3")
    values = yaml.safe_load(files["values.yaml"])
    rendered: Sorted = []
    for name, text in files.items():
        if name.startswith("templates/"):
            rendered += read(as_helm_renders(text, values, "kserve"))
    for obj in rendered:
        if obj["kind"] == "CustomResourceDefinition":
            annotations = obj["metadata"].pop("annotations")
            assert annotations == {"helm.sh/resource-policy": "keep"}
    assert ordered(rendered) == ordered(o for o in heads(bundle) if o["kind"] != "Namespace")


def test_the_chart_s_values_are_taken() -> None:
    files = make_chart(Options(), (), "1.2.3")
    text = as_helm_renders(files["templates/sampan.yaml"], {"image": "i:1", "replicas": 5}, "ns")
    [deployment] = [o for o in yaml.safe_load_all(text) if o["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 5
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "i:1"
    assert deployment["metadata"]["namespace"] == "ns"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        pytest.param(["--format", "tar"], 2, 'choose yaml, kustomize, helm', id="a format"),
        pytest.param(["--format", "helm"], 2, 'name a folder with "-o"', id="no folder"),
        pytest.param(["--replicas", "0"], 2, "one has to act", id="no replica"),
        pytest.param(["-o", "x"], 2, 'write "> FILE"', id="a folder for a text"),
        pytest.param(
            ["--format", "helm", "-o", "x", "--operator-only"], 2, "--format yaml", id="half of it"
        ),
        pytest.param(["--format", "helm", "-o", "."], 1, "is not empty", id="a used folder"),
    ],
)  # fmt: skip
def test_a_mistake(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["install", *arguments])
    assert ended.value.code == code
    assert text in capsys.readouterr().err


def test_a_chart_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["install", "--format", "helm", "-o", str(tmp_path / "chart")])
    assert not ended.value.code
    assert (tmp_path / "chart" / "Chart.yaml").exists()
    assert "Chart.yaml" in capsys.readouterr().err


def test_what_is_printed_is_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["install", "--operator-only", "--image", "i:1"])
    assert capsys.readouterr().out == render_yaml(make_operator(Options(image="i:1")))

"""The packages: what kubectl and Helm make of them is what `sampan install` prints.

Helm is `$SAMPAN_TEST_HELM`, or the one of the path. Where there is none, only what the chart's own
few actions mean is tested.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.app.bootstrap import shipped_runtimes
from sampan.cli.main import main
from sampan.installation.bundle import (
    make_bundle,
    make_definitions,
    make_operator,
    render_yaml,
)
from sampan.installation.chart import make_chart
from sampan.installation.kustomize import make_kustomize
from sampan.installation.options import Options

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
    texts = re.split(r"^---\n", text, flags=re.MULTILINE)
    return [found for found in map(read_one, texts) if found]


def read_one(text: str) -> Any:
    text = re.sub(r"\A(?:# Source: .*\n)+", "", text)
    if text.startswith("{"):
        return heads([json.loads(text)])[0]
    if DEFINITION in text:
        text = re.sub(r"^spec:\n(?: .*\n?)*", "", text, flags=re.MULTILINE)
    return yaml.load(text, yaml.CSafeLoader)


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
    """The few forms of an action that the chart has."""

    def value(found: re.Match[str]) -> str:
        action = found[1]
        if action == '"{{"':
            return "{{"
        if action == ".Release.Namespace":
            return namespace
        return str(values[action.removeprefix(".Values.")])

    whole = r"\{\{ if \.Values\.(\w+) \}\}(.*?)\{\{ end \}\}"
    text = re.sub(whole, lambda m: m[2] if values[m[1]] else "", text, flags=re.DOTALL)
    return re.sub(r"\{\{ (\S+) \}\}", value, text)


def render_here(folder: Path, values: dict[str, Any]) -> str:
    paths = [*sorted((folder / "crds").iterdir()), *sorted((folder / "templates").glob("*.yaml"))]
    given = {**yaml.safe_load((folder / "values.yaml").read_text()), **values}
    texts = [(path.parent.name, path.read_text()) for path in paths]
    return "".join(
        f"---\n{text if place == 'crds' else as_helm_renders(text, given, 'kserve')}"
        for place, text in texts
    )


def find_helm() -> str:
    found = os.environ.get("SAMPAN_TEST_HELM") or shutil.which("helm")
    if not found:
        pytest.skip("Helm is not installed; name it in SAMPAN_TEST_HELM")
    return found


def helm(*arguments: str) -> str:
    done = subprocess.run([find_helm(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def render_by_helm(folder: Path, values: dict[str, Any]) -> str:
    chosen = [f"--set={name}={value}" for name, value in values.items()]
    arguments = ("sampan", str(folder), "--namespace=kserve", "--include-crds", *chosen)
    return helm("template", *arguments)


RENDERERS = [
    pytest.param(render_here, id="read here"),
    pytest.param(render_by_helm, id="rendered by Helm", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chart")
    write(folder, make_chart(Options(), shipped_runtimes(), "1.2.3"))
    return folder


def comparable(objects: Sorted) -> Sorted:
    """The objects, whether their webhooks must be heard already or only once they answer."""
    return ordered(
        {**o, "webhooks": [{**w, "failurePolicy": ""} for w in o["webhooks"]]}
        if "webhooks" in o
        else o
        for o in heads(objects)
        if o["kind"] != "Namespace"
    )


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("activators", [0, 3])
def test_the_chart_gives_the_same_objects(render: Any, activators: int, chart: Path) -> None:
    given = Options(activators=activators, image="i:1", replicas=5)
    text = render(chart, {"activators": activators, "image": "i:1", "replicas": 5})
    assert comparable(read(text)) == comparable(make_bundle(given, shipped_runtimes()))


def test_the_chart_s_definitions_are_whole(chart: Path) -> None:
    made = [json.loads(path.read_text()) for path in (chart / "crds").iterdir()]
    assert ordered(made) == ordered(make_definitions(Options()))


def test_webhooks_of_a_chart_need_not_be_heard_before_they_answer(chart: Path) -> None:
    made = [o for o in read(render_here(chart, {})) if "webhooks" in o]
    assert len(made) == 2
    assert {w["failurePolicy"] for o in made for w in o["webhooks"]} == {"Ignore"}


def test_helm_could_keep_the_chart_and_what_became_of_it(chart: Path) -> None:
    """A file has 5 MiB at most, a release 1 MiB once it is packed (Helm 3, with Secrets)."""
    files = {str(p.relative_to(chart)): p.read_bytes() for p in chart.rglob("*") if p.is_file()}
    assert max(map(len, files.values())) < 5 * 1024**2
    kept = {name: base64.b64encode(content).decode() for name, content in files.items()}
    manifest = render_here(chart, {"activators": 2}).partition("kind: ServiceAccount")[2]
    packed = gzip.compress(json.dumps({"chart": kept, "manifest": manifest}).encode(), 9)
    assert len(base64.b64encode(packed)) < 700 * 1024


@pytest.mark.slow
def test_helm_finds_nothing_wrong_with_the_chart(chart: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(chart))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("replicas=0", id="no operator"),
        pytest.param("activators=-1", id="less than none"),
        pytest.param("image=", id="no image"),
        pytest.param("imgae=x", id="a value that there is not"),
    ],
)
def test_helm_refuses_a_wrong_value(wrong: str, chart: Path) -> None:
    command = [find_helm(), "template", "sampan", str(chart), f"--set={wrong}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications" in done.stderr


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

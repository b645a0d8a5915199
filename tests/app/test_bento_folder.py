"""A Bento says which packages it needs; its service then has them in an annotation."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.app.bento_folder import gather_bento_annotations
from sampan.app.recognition import recognise

TRUSTED = {"serving.sampan.dev/trust": "true"}
NAMED = "serving.sampan.dev/requirements"


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        pytest.param({"bento.yaml": "name: b"}, None, id="a Bento without a list has none"),
        pytest.param(
            {"env/python/requirements.txt": "--index-url https://example.com\n\nnumpy==2.4.6\n"},
            "numpy==2.4.6",
            id="the lock counts, without what it says of an index",
        ),
        pytest.param(
            {"env/python/requirements.txt": "a==1 \\\n    --hash=sha256:12\nb==2 --hash=x\n"},
            "a==1\nb==2",
            id="hashes are left out",
        ),
        pytest.param(
            {"env/python/requirements.txt": "a==1", "env/python/requirements.in": "a"},
            "a==1",
            id="the lock goes before what was asked for",
        ),
        pytest.param(
            {"env/python/requirements.in": "# asked\nscikit-learn\n"},
            "scikit-learn",
            id="without a lock what was asked for counts",
        ),
        pytest.param(
            {"bentofile.yaml": "python: {packages: [numpy, 'pandas>=2']}"},
            "numpy\npandas>=2",
            id="of a project its build file",
        ),
        pytest.param(
            {"bentofile.yaml": "python: {requirements_txt: r.txt}", "r.txt": "joblib # models"},
            "joblib",
            id="and the list that it names",
        ),
        pytest.param({"bentofile.yaml": "python: ["}, None, id="a broken build file says nothing"),
    ],
)
def test_the_packages_of_a_folder(files, lines, tmp_path: Path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    wanted = TRUSTED if lines is None else {**TRUSTED, NAMED: lines}
    assert gather_bento_annotations(tmp_path) == wanted


def test_its_service_is_annotated(tmp_path: Path):
    (tmp_path / "bentofile.yaml").write_text("python: {packages: [joblib]}")
    (service,) = recognise(tmp_path, "flowers").objects
    assert service["metadata"]["annotations"] == {**TRUSTED, NAMED: "joblib"}
    assert service["spec"]["predictor"]["model"]["modelFormat"] == {"name": "bentoml"}


def test_a_built_bento_serves_under_its_own_name(tmp_path: Path):
    folder = tmp_path / "4y4a2gxf6slxwax4"
    folder.mkdir()
    (folder / "bento.yaml").write_text("name: iris_svc\nversion: 4y4a2gxf6slxwax4\n")
    (service,) = recognise(folder).objects
    assert service["metadata"]["name"] == "iris-svc"

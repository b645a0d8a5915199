"""`sampan serve my_model.py:MyModel`: what is served, and what is said where it cannot be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sampan.app.targets import parse_target

SUM = """
from sampan.sdk import Model

class Sum(Model):
    def predict(self, payload, headers=None):
        return {"predictions": [sum(row) for row in payload["instances"]]}
"""
BORN = """
import time

from sampan.sdk import Model

class Other(Model):
    def load(self):
        self.born = time.time_ns()
        self.ready = True
        return True

    def predict(self, payload, headers=None):
        return {"predictions": self.born}
"""
ROWS = {"instances": [[1, 2], [3, 4]]}


@pytest.mark.parametrize(
    ("word", "name", "served_as", "attribute"),
    [
        ("my_model.py:MyModel", "", "my_model", "MyModel"),
        ("my_model.py:MyModel", "iris", "iris", "MyModel"),
        ("iris=my_model.py:MyModel", "", "iris", "MyModel"),
        ("some/folder/a.py:A", "", "a", "A"),
    ],
)
def test_a_target_is_named_by_itself_by_the_argument_or_by_its_file(
    word, name, served_as, attribute
):
    target = parse_target(word, name)
    assert (target.name, target.attribute) == (served_as, attribute)
    assert target.path == Path(word.rpartition("=")[2].rpartition(":")[0]).resolve()


@pytest.mark.parametrize(
    "word", ["model", "my_model.py", "my_model:A", "a.py:", "a.py:1x", "=a.py:A"]
)
def test_a_word_that_names_no_model_is_told_with_the_form(word):
    with pytest.raises(ValueError, match=r"\[NAME=\]FILE\.py:CLASS") as caught:
        parse_target(word)
    assert f'"{word}"' in str(caught.value)


def test_a_class_in_a_file_is_served(serve, tmp_path):
    (tmp_path / "sums.py").write_text(SUM)
    served = serve("sums.py:Sum")
    assert served.ask("/v1/models/sums:predict", ROWS)[:2] == (200, {"predictions": [3, 7]})
    assert served.end() == 0


def test_several_targets_are_served_side_by_side(serve, tmp_path):
    (tmp_path / "sums.py").write_text(SUM)
    served = serve("one=sums.py:Sum", "two=sums.py:Sum")
    assert served.ask("/v1/models")[1] == {"models": ["one", "two"]}


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("def (", "m.py:M", r"m\.py:1: SyntaxError: invalid syntax"),
        (
            "import nowhere_at_all",
            "m.py:M",
            r"m\.py:1: ModuleNotFoundError: .*while it is imported",
        ),
        (SUM, "m.py:Summ", r'"m\.py" has no "Summ"; did you mean "Sum"\?'),
        ("class M: pass", "m.py:M", r'"M" in "m\.py" is no Model; derive'),
        (SUM + "    def load(self):\n        1 / 0\n", "m.py:Sum", "ZeroDivisionError"),
    ],
    ids=["syntax", "import", "misspelt", "no model", "load raises"],
)
def test_a_file_that_cannot_be_served_ends_with_1_and_the_line(serve, tmp_path, text, target, said):
    (tmp_path / "m.py").write_text(text)
    served = serve(target)
    served.said(said)
    assert served.process.wait(10) == 1


def test_an_edit_is_served_within_two_seconds_and_other_models_stay_loaded(serve, tmp_path):
    (tmp_path / "sums.py").write_text(SUM)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "others.py").write_text(BORN)
    served = serve("sums.py:Sum", "other/others.py:Other", "--reload")
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [3, 7]}
    born = served.ask("/v1/models/others:predict", ROWS)[1]
    (tmp_path / "sums.py").write_text(SUM.replace("sum(row)", "-sum(row)"))
    edited = time.monotonic()
    while served.ask("/v1/models/sums:predict", ROWS)[1] != {"predictions": [-3, -7]}:
        assert time.monotonic() - edited < 2, served.text
        time.sleep(0.05)
    assert served.ask("/v1/models/others:predict", ROWS)[1] == born


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("def (", "SyntaxError"),
        (SUM + "    def load(self):\n        raise RuntimeError('no weights')\n", "no weights"),
        (SUM.replace("class Sum", "class Som"), 'has no "Sum"; did you mean "Som"'),
    ],
    ids=["syntax", "load raises", "class gone"],
)
def test_what_does_not_load_keeps_the_old_version_and_says_so(serve, tmp_path, broken, said):
    file = tmp_path / "sums.py"
    file.write_text(SUM)
    served = serve("sums.py:Sum", "--reload")
    assert served.ask("/v1/models/sums:predict", ROWS)[0] == 200
    file.write_text(broken)
    served.said(f'"sums" goes on with its old version: .*{said}')
    assert served.ask("/v1/models/sums:predict", ROWS)[:2] == (200, {"predictions": [3, 7]})
    file.write_text(SUM.replace("sum(row)", "max(row)"))
    served.said('"sums" is reloaded')
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [2, 4]}


def test_an_edit_of_a_module_beside_the_file_counts(serve, tmp_path):
    scaled = "import weights\n" + SUM.replace("sum(row)", "sum(row) * weights.SCALE")
    (tmp_path / "weights.py").write_text("SCALE = 1\n")
    (tmp_path / "sums.py").write_text(scaled)
    served = serve("sums.py:Sum", "--reload")
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [3, 7]}
    (tmp_path / "weights.py").write_text("SCALE = 9\n")
    served.said('"sums" is reloaded')
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [27, 63]}


def test_an_edit_within_the_second_of_its_compiled_file_counts(serve, tmp_path):
    scaled = "import weights\n" + SUM.replace("sum(row)", "sum(row) * weights.SCALE")
    (tmp_path / "weights.py").write_text("SCALE = 1\n")
    os.utime(tmp_path / "weights.py", (1_700_000_000, 1_700_000_000))
    (tmp_path / "sums.py").write_text(scaled.replace("sum(row)", "max(row)"))
    served = serve("sums.py:Sum", "--reload", PYTHONDONTWRITEBYTECODE="")
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [2, 4]}
    (tmp_path / "sums.py").write_text(scaled)
    served.said('"sums" is reloaded')  # from here on the module beside it is watched
    (tmp_path / "weights.py").write_text("SCALE = 9\n")
    os.utime(tmp_path / "weights.py", (1_700_000_000, 1_700_000_000.5))
    served.said('(?s)"sums" is reloaded.*"sums" is reloaded')
    assert served.ask("/v1/models/sums:predict", ROWS)[1] == {"predictions": [27, 63]}

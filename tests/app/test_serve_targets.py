"""Which words of `sampan serve` name models of one's own."""

from __future__ import annotations

import pytest

from sampan.app.serve_arguments import parse


@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param(["a.py:A", "--http_port=1"], ["a"], id="before the arguments"),
        pytest.param(["--http_port=1", "a.py:A"], ["a"], id="behind an argument"),
        pytest.param(["--http_port", "1", "x=a.py:A"], ["x"], id="behind an argument's value"),
        pytest.param(["a.py:A", "--http_port=1", "b.py:B"], ["a", "b"], id="on both sides"),
        pytest.param(["a.py:A", "--own", "b.py:B"], ["a"],
                     id="the value of an argument that is not known is none"),
        pytest.param(["a.py:A", "--own=1", "b.py:B"], ["a", "b"],
                     id="one behind such a value is"),
    ],
)  # fmt: skip
def test_words_of_the_form_of_a_target_are_targets(words, names):
    assert [target.name for target in parse(words).targets] == names


def test_without_a_folder_or_a_target_the_form_is_told(capsys):
    with pytest.raises(SystemExit):
        parse(["--http_port=1"])
    assert "give --model_dir FOLDER, or a model as [NAME=]FILE.py:CLASS" in capsys.readouterr().err

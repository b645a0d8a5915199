"""What cannot be forked into several workers is refused before anything is loaded."""

from __future__ import annotations

import pytest

from sampan.app.serve_arguments import parse


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["--runtime=pmml", "--workers=2"],
            'Workers cannot be greater than 1: a model of "pmml" does not outlive a fork',
            id="a Java machine",
        ),
        pytest.param(
            ["--runtime=xgboost", "--workers=2", "--nthread=4"],
            "--nthread=4 and --workers=2 exclude each other",
            id="threads of a prediction",
        ),
    ],
)
def test_what_does_not_outlive_a_fork_gets_no_workers(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        parse([f"--model_dir={tmp_path}", *arguments])
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_one_thread_a_prediction_may_have_workers(tmp_path):
    options = parse([f"--model_dir={tmp_path}", "--runtime=xgboost", "--workers=2", "--nthread=1"])
    assert (options.capacity.workers, options.nthread) == (2, 1)


def test_a_file_with_a_whole_name_tells_more_than_an_ending(tmp_path):
    (tmp_path / "MLmodel").touch()
    (tmp_path / "model.pkl").touch()
    assert parse([f"--model_dir={tmp_path}"]).runtime == "mlflow"

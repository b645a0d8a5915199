"""KServe's predictive server: its framework decides which of our runtimes answers."""

from __future__ import annotations

import pytest

from sampan.app.serve_arguments import parse
from sampan.runtimes import get_runtime
from sampan.runtimes.predictive import FRAMEWORKS

GIVEN = ["--runtime=predictive", "--model_name=m", "--model_dir=/tmp", "--nthread=1"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("form", ["joined", "apart"])
def test_a_framework_is_served_by_its_own_runtime(framework, form):
    words = [f"--framework={framework}"] if form == "joined" else ["--framework", framework]
    options = parse([*GIVEN, *words])
    assert (options.runtime, options.nthread, options.warnings) == (framework, 1, ())


def test_without_a_framework_it_is_scikit_learn():
    assert parse(GIVEN).runtime == "sklearn"


def test_another_framework_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        parse([*GIVEN, "--framework=torch"])
    assert ended.value.code == 2
    assert '--framework is "torch"; use one of sklearn, xgboost' in capsys.readouterr().err


def test_its_environment_holds_what_each_framework_needs():
    wanted = {r for name in FRAMEWORKS for r in get_runtime(name).requirements}
    assert wanted <= set(get_runtime("predictive").requirements)

"""KServe's predictive server: one image for scikit-learn, XGBoost and LightGBM, told which."""

from __future__ import annotations

from collections.abc import Sequence

from sampan.runtimes import lightgbm, sklearn, xgboost
from sampan.runtimes.declaration import SERVER_PRELOAD, SERVER_REQUIREMENTS, ModelFormat, Runtime
from sampan.runtimes.serving import Translated

FRAMEWORKS = ("sklearn", "xgboost", "lightgbm")
_FLAG = "--framework"

RUNTIME = Runtime(
    name="kserve-predictiveserver",
    server_type="predictiveserver",
    formats=(
        ModelFormat("sklearn", "1", priority=3),
        ModelFormat("xgboost", "2", priority=3),
        ModelFormat("lightgbm", "4", priority=3),
    ),
    protocol_versions=("v1", "v2"),
    images=("kserve/predictiveserver", "kserve-predictiveserver"),
    model=sklearn.RUNTIME.model,  # where no framework is named, as upstream
    extensions=sklearn.RUNTIME.extensions,
    requirements=(
        *SERVER_REQUIREMENTS,
        *(
            requirement
            for runtime in (sklearn.RUNTIME, xgboost.RUNTIME, lightgbm.RUNTIME)
            for requirement in runtime.requirements[len(SERVER_REQUIREMENTS) :]
        ),
    ),
    package="",  # a tag names KServe's release
    preload=(*SERVER_PRELOAD, "sampan.runtimes.predictive"),
    entry_arguments=("--runtime=predictive", "--grpc_port=0"),
    container_arguments=(
        "--model_name={{.Name}}",
        "--model_dir=/mnt/models",
        "--http_port=8080",
        "--framework={{.Annotations.modelFormat}}",
        "--nthread=1",
    ),
    arguments="sampan.runtimes.predictive:translate",
)
"""Every framework is one of our own runtimes: `--framework` becomes `--runtime`."""


def translate(argv: Sequence[str]) -> Translated:
    """Return the arguments with the framework's runtime; ValueError for another framework."""
    made: list[str] = []
    framework = FRAMEWORKS[0]
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name == _FLAG:
            framework = value if equals else next(words, "")
        else:
            made.append(word)
    if framework not in FRAMEWORKS:
        raise ValueError(f'{_FLAG} is "{framework}"; use one of {", ".join(FRAMEWORKS)}')
    return Translated((*made, f"--runtime={framework}"))

"""`mlserver start FOLDER` and MLServer's environment in our arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from sampan.runtimes.serving import Translated

_VARIABLES = {
    "MLSERVER_HTTP_PORT": "--http_port",
    "MLSERVER_GRPC_PORT": "--grpc_port",
    "MLSERVER_HOST": "--host",
    "MLSERVER_MODEL_NAME": "--model_name",
}
_FOLDERS = ("MLSERVER_MODEL_URI", "MLSERVER_MODELS_DIR")
_USUAL_FOLDER = "/mnt/models"
"""Where KServe puts the model, and MLServer's image looks for one."""


def translate(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Translated:
    """Return the arguments that say the same here; what is said in arguments wins."""
    words = [word for word in argv if word not in {"mlserver", "start"}]
    folder = ""
    made: list[str] = []
    for word in words:
        if word.startswith("-") or folder or (made and _expects_value(made[-1])):
            made.append(word)
        else:
            folder = word
    given = {word.partition("=")[0] for word in made}
    for variable, argument in _VARIABLES.items():
        if environ.get(variable) and argument not in given:
            made.append(f"{argument}={environ[variable]}")
    if "--model_dir" not in given:
        named = (environ[name] for name in _FOLDERS if environ.get(name))
        made.append(f"--model_dir={folder or next(named, _USUAL_FOLDER)}")
    return Translated(tuple(made))


def _expects_value(word: str) -> bool:
    """Whether the word after an argument is its value."""
    return word.startswith("--") and "=" not in word and word != "--trust"

"""`bentoml serve BENTO` and BentoML's environment in our arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from sampan.runtimes.serving import Translated

_VARIABLES = {"BENTOML_PORT": "--http_port", "BENTOML_HOST": "--host"}
_OURS = {
    "--port": "--http_port",
    "-p": "--http_port",
    "--host": "--host",
    "--ssl-certfile": "--ssl_certfile",
    "--ssl-keyfile": "--ssl_keyfile",
    "--timeout-keep-alive": "--timeout_keep_alive",
    "--timeout-graceful-shutdown": "--grace_period",
}
_FOLDERS = frozenset({"--working-dir"})
_SILENT = {
    "--api-workers": "a process serves one instance; raise minReplicas",
    "--backlog": "the system's own length of the queue is used",
    "--timeout": "traffic.timeout of the service sets it",
    "--arg": "arguments of a Bento are those that it was built with",
    "--arg-file": "arguments of a Bento are those that it was built with",
}
_NOTHING = frozenset({"bentoml", "serve", "--production", "--development", "--reload", "-q"})
_USUAL_FOLDER = "/mnt/models"


def translate(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Translated:
    """Return the arguments that say the same here; what is said in arguments wins.

    A word without a dash is the Bento's folder, or `module:Service` in the working directory.
    """
    made: list[str] = []
    warnings: list[str] = []
    target = folder = ""
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in _NOTHING:
            continue
        if name in _OURS or name in _FOLDERS or name in _SILENT:
            value = value if equals else next(words, "")
            if name in _FOLDERS:
                folder = value
            elif name in _OURS:
                made.append(f"{_OURS[name]}={value}")
            else:
                warnings.append(f'argument "{name}" is not honoured: {_SILENT[name]}')
        elif word.startswith("-"):
            made.extend(_own(word, words))
        else:
            target = word
    return Translated(
        (*made, *_targets(target, folder, made), *_said(made, environ)), tuple(warnings)
    )


def _own(word: str, words: Iterator[str]) -> list[str]:
    """Return an argument of ours with its value, where it has one beside it."""
    if "=" in word or word == "--trust":
        return [word]
    value = next(words, None)
    return [word] if value is None else [word, value]


def _targets(target: str, folder: str, made: Sequence[str]) -> list[str]:
    """Return what names the Bento: a folder, and of several services the one."""
    if any(word.partition("=")[0] == "--model_dir" for word in made):
        return []
    if ":" in target:
        return [f"--model_dir={folder or '.'}", f"--server_option=service={target}"]
    place = os.path.join(folder, target) if folder and target else target or folder  # noqa: PTH118  # text, no path yet
    return [f"--model_dir={place or _USUAL_FOLDER}"]


def _said(made: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    given = {word.partition("=")[0] for word in made}
    return [
        f"{argument}={environ[variable]}"
        for variable, argument in _VARIABLES.items()
        if environ.get(variable) and argument not in given
    ]

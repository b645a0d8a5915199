"""An explainer as a process: `python -m sampan.app.explain --explainer=art --predictor_host=...`.

Its arguments are KServe's: whom to ask, and what the explainer itself takes. The rest are the
model server's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sampan.app.serve import serve_models
from sampan.app.serve_arguments import strtobool
from sampan.runtimes.explainers import EXPLAINERS, get_explainer
from sampan.runtimes.explainers.declaration import Asked


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the explainer until a signal comes; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen, words = _make_chooser().parse_known_args(words)
    explainer = get_explainer(chosen.explainer)
    parser = argparse.ArgumentParser(
        prog=f"sampan.app.explain --explainer={explainer.name}", allow_abbrev=False
    )
    _add_predictor(parser)
    explainer.add_arguments(parser)
    settings, rest = parser.parse_known_args(words)
    asked = Asked(
        host=settings.predictor_host,
        protocol=settings.predictor_protocol,
        scheme="https" if settings.predictor_use_ssl else "http",
        batch_size=settings.batch_size,
        call_seconds=settings.predictor_request_timeout_seconds,
        explain_seconds=settings.explain_timeout_seconds,
        input_name=settings.input_name,
    )
    model = explainer.make(settings.model_name, asked, settings)
    return serve_models({model.name: model}, rest)


def fork_main(argv: list[str]) -> int:
    """Serve in a child forked from a zygote."""
    return main(argv)


def _make_chooser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--explainer", choices=tuple(EXPLAINERS), required=True)
    return parser


def _add_predictor(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model_name", default="model", help="the name in URLs, and of the predictor's model")
    add("--predictor_host", required=True, help="host:port of the predictor")
    add("--predictor_protocol", choices=("v1", "v2"), default="v1")
    add("--predictor_use_ssl", type=strtobool, default=False, nargs="?", const=True)
    add("--predictor_request_timeout_seconds", type=_positive, default=600.0)
    add("--batch_size", type=_positive_whole, default=256, help="rows asked at a time")
    add("--explain_timeout_seconds", type=_positive, default=300.0)
    add("--input_name", default="", help="V2: the tensor's; else as the metadata say")
    add("--storage_uri", default="", help="KServe's; the files are at their mount path")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not above 0')
    return value


def _positive_whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not 1 or more')
    return value


if __name__ == "__main__":
    sys.exit(main())

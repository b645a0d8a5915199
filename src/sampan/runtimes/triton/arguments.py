"""tritonserver's command line in our arguments. Pure.

What has a meaning here is translated; what has none is named in a warning; our own arguments, which
the platform adds, go through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sampan.runtimes.serving import Translated

_PLAIN = {
    "--model-repository": "--model_dir",
    "--model-store": "--model_dir",
    "--http-port": "--http_port",
    "--grpc-port": "--grpc_port",
    "--http-address": "--host",
    "--allow-grpc": "--enable_grpc",
    "--exit-timeout-secs": "--grace_period",
}
_OPTIONS = frozenset(
    {
        "--model-control-mode", "--load-model", "--strict-model-config",
        "--disable-auto-complete-config", "--exit-on-error", "--backend-config",
        "--allow-shared-memory", "--repository-poll-secs",
    }
)  # fmt: skip
_USELESS = {
    "--grpc-address": "gRPC listens where HTTP does",
    "--metrics-port": "metrics are at the HTTP port, /metrics",
    "--allow-metrics": "metrics are at the HTTP port, /metrics",
    "--log-verbose": "KSERVE_LOGLEVEL sets the level",
    "--log-info": "KSERVE_LOGLEVEL sets the level",
    "--log-warning": "KSERVE_LOGLEVEL sets the level",
    "--log-error": "KSERVE_LOGLEVEL sets the level",
    "--strict-readiness": "the server is ready once its models are",
    "--allow-http": "REST and gRPC share the HTTP port",
}
_FLAGS = frozenset({"--disable-auto-complete-config"})
"""Those that need no value."""
_PROGRAM = "tritonserver"


def translate(argv: Sequence[str]) -> Translated:
    """Return the arguments that say the same here; ValueError names what cannot be had."""
    made: list[str] = []
    warnings: list[str] = []
    for name, value in _pairs(argv):
        if name in _PLAIN:
            made.append(f"{_PLAIN[name]}={value}")
        elif name in _OPTIONS:
            made.append(f"--server_option={name[2:]}={value or 'true'}")
        elif name in _USELESS:
            if not _is_usual(name, value):
                warnings.append(f'argument "{name}" is not honoured: {_USELESS[name]}')
        elif name != _PROGRAM:
            made.append(name if value is None else f"{name}={value}")
    return Translated(tuple(made), tuple(warnings))


def _is_usual(name: str, value: str | None) -> bool:
    """Whether an argument only says what is so anyway."""
    return name.startswith("--allow") and value == "true"


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield names with their values, written `--name=value` or `--name value`."""
    known = {*_PLAIN, *_OPTIONS, *_USELESS} - _FLAGS
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if not name.startswith("-") or (not equals and name not in known):
            yield word, None
        elif equals:
            yield name, value
        else:
            yield name, next(words, "")

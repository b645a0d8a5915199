"""tensorflow_model_server's command line in our arguments. Pure.

What has a meaning here is translated; what has none is named in a warning; our own arguments, which
the platform adds, go through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from sampan.runtimes.serving import Translated

_PLAIN = {
    "--rest_api_port": "--http_port",
    "--port": "--grpc_port",
    "--model_base_path": "--model_dir",
    "--model_name": "--model_name",
}
_OPTIONS = frozenset(
    {
        "--model_config_file", "--enable_batching", "--batching_parameters_file",
        "--saved_model_tags", "--tensorflow_session_parallelism",
        "--tensorflow_intra_op_parallelism", "--tensorflow_inter_op_parallelism",
        "--file_system_poll_wait_seconds", "--model_config_file_poll_wait_seconds",
        "--monitoring_config_file", "--enable_model_warmup",
        "--num_request_iterations_for_warmup",
    }
)  # fmt: skip
_USELESS = {
    "--rest_api_num_threads": "REST is answered on one loop; --max_asyncio_workers bounds models",
    "--rest_api_enable_cors_support": "put the header where browsers come in: at the gateway",
    "--grpc_socket_path": "--uds listens on a socket, with REST and gRPC",
    "--grpc_channel_arguments": "gRPC is served by Sampan's own wire",
    "--grpc_max_threads": "gRPC is answered on one loop; --max_asyncio_workers bounds models",
    "--allow_version_labels_for_unavailable_models": "a label names a version that serves",
    "--enable_per_model_batching_parameters": "--batching_parameters_file counts for all models",
    "--num_load_threads": "models load one after the other",
    "--num_unload_threads": "models are unloaded one after the other",
    "--max_num_load_retries": "a version that does not load is tried again once its files change",
    "--load_retry_interval_micros": "a version that does not load is tried again once its files "
    "change",
    "--tensorflow_session_config_file": "threads are set by --tensorflow_intra_op_parallelism",
    "--ssl_config_file": "--ssl_certfile and --ssl_keyfile serve with TLS",
    "--use_alts_credentials": "--ssl_certfile and --ssl_keyfile serve with TLS",
    "--platform_config_file": "only TensorFlow's platform is served",
    "--per_process_gpu_memory_fraction": "memory of a device is taken as it is needed",
    "--prefer_tflite_model": "the SavedModel itself is served",
    "--xla_cpu_compilation_enabled": "graphs run as they are",
    "--mixed_precision": "graphs run as they are",
    "--thread_pool_factory_config_file": "threads are set by --tensorflow_intra_op_parallelism",
}
_NOTHING = {
    "--flush_filesystem_caches": "",
    "--remove_unused_fields_from_bundle_metagraph": "",
    "--enable_grpc_healthcheck_service": "",
    "--enable_signature_method_name_check": "",
    "--enable_profiler": "",
    "--skip_initialize_tpu": "",
}
"""Those that change nothing that a client sees."""
_FLAGS = frozenset(
    {
        "--enable_batching", "--enable_model_warmup", "--rest_api_enable_cors_support",
        "--prefer_tflite_model",
        "--allow_version_labels_for_unavailable_models", "--use_alts_credentials",
        "--xla_cpu_compilation_enabled", "--enable_per_model_batching_parameters", *_NOTHING,
    }
)  # fmt: skip
"""Those that need no value."""
_TIMEOUT = "--rest_api_timeout_in_ms"
_PROGRAM = "tensorflow_model_server"


def translate(argv: Sequence[str]) -> Translated:
    """Return the arguments that say the same here; ValueError names a value that is none."""
    made: list[str] = []
    warnings: list[str] = []
    for name, value in _pairs(argv):
        if name in _PLAIN:
            made.append(f"{_PLAIN[name]}={value}")
        elif name == _TIMEOUT:
            made.append(f"--request_timeout={_seconds(value)}")
        elif name in _OPTIONS:
            made.append(f"--server_option={name[2:]}={value or 'true'}")
        elif name in _USELESS:
            if value not in {"false", "0"}:
                warnings.append(f'argument "{name}" is not honoured: {_USELESS[name]}')
        elif name not in _NOTHING and PurePosixPath(name).name != _PROGRAM:
            made.append(name if value is None else f"{name}={value}")
    return Translated((*made, *_folder(argv, made)), tuple(warnings))


def _folder(argv: Sequence[str], made: list[str]) -> Iterator[str]:
    """Yield the folder of the models where only a configuration file names them."""
    if any(word.startswith("--model_dir=") for word in made):
        return
    for name, value in _pairs(argv):
        if name == "--model_config_file" and value:
            yield f"--model_dir={PurePosixPath(value).parent}"


def _seconds(value: str | None) -> str:
    if not (value or "").isdecimal():
        raise ValueError(f'{_TIMEOUT} is "{value}"; give milliseconds, as in 30000')
    return f"{int(value or 0) / 1000:g}"


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield names with their values, written `--name=value` or `--name value`."""
    known = {*_PLAIN, *_OPTIONS, *_USELESS, *_NOTHING, _TIMEOUT} - _FLAGS
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if not name.startswith("-") or (not equals and name not in known):
            yield word, None
        elif equals:
            yield name, value
        else:
            yield name, next(words, "")

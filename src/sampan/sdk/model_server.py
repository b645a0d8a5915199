"""`ModelServer`: serves the models of a person's own file. KServe's names and arguments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sampan.app.serve import serve_models
from sampan.app.serve_extensions import Extensions, Middleware
from sampan.sdk import user_app
from sampan.sdk.arguments import make_argv, make_parser
from sampan.sdk.model_repository import ModelRepository
from sampan.sdk.no_model_ready import NoModelReady
from sampan.sdk.predictor_config import PredictorConfig, set_predictor_config
from sampan.server.model import Model
from sampan.wire.asgi import AsgiApp

logger = logging.getLogger("sampan.serve")


class ModelServer:
    """A server of models. What is not given here is read from the command line.

    Arguments are KServe's and mean the same; one that is not honoured is named in a warning when
    the server starts. It listens on loopback: `host="0.0.0.0"` (or `--host`) serves other
    machines too, unauthenticated.

    `app` is an ASGI application for paths that the server has no route for. Each of `middleware`
    gets an ASGI application and returns one; the first sees an HTTP request first.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        http_port: int | None = None,
        grpc_port: int | None = None,
        workers: int | None = None,
        max_threads: int | None = None,
        max_asyncio_workers: int | None = None,
        registered_models: ModelRepository | None = None,
        enable_grpc: bool | None = None,
        enable_docs_url: bool | None = None,
        enable_latency_logging: bool | None = None,
        access_log_format: str | None = None,
        event_loop: str | None = None,
        timeout_keep_alive: int | None = None,
        grace_period: int = 30,
        predictor_config: PredictorConfig | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        *,
        host: str | None = None,
        app: AsgiApp | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        given = {
            "http_port": http_port,
            "grpc_port": grpc_port,
            "workers": workers,
            "max_threads": max_threads,
            "max_asyncio_workers": max_asyncio_workers,
            "enable_grpc": enable_grpc,
            "enable_docs_url": enable_docs_url,
            "enable_latency_logging": enable_latency_logging,
            "access_log_format": access_log_format,
            "event_loop": event_loop,
            "timeout_keep_alive": timeout_keep_alive,
            "ssl_certfile": ssl_certfile,
            "ssl_keyfile": ssl_keyfile,
            "host": host,
        }
        self._values: dict[str, Any] = vars(make_parser().parse_known_args()[0])
        self._values |= {name: value for name, value in given.items() if value is not None}
        self.http_port: int = self._values["http_port"]
        self.grpc_port: int = self._values["grpc_port"]
        self.workers: int = self._values["workers"]
        self.grace_period = grace_period
        self.registered_models = registered_models or ModelRepository()
        self._extensions = Extensions(app, tuple(middleware)) if app or middleware else None
        set_predictor_config(predictor_config or self._predictor_config())

    def register_model(self, model: Model, name: str | None = None) -> None:
        """Register a model under its name or an alias; ValueError where it has no name."""
        if not model.name:
            raise ValueError("Failed to register model, model.name must be provided.")
        self.registered_models.update(model, name)

    def start(self, models: Sequence[Model]) -> None:
        """Serve until SIGTERM, SIGINT or SIGQUIT, then drain and return.

        RuntimeError for what is no list of models, NoModelReady where none of them is ready,
        SystemExit where the server cannot serve (its port is taken).
        """
        if not isinstance(models, list):
            raise RuntimeError("Unknown model collection type")  # noqa: TRY004  # KServe's class
        for model in models:
            self._take(model)
        if models and not any(model.ready for model in models):
            raise NoModelReady(models)
        argv = [*make_argv(self._values), f"--grace_period={self.grace_period}"]
        extensions = self._extensions or user_app.take_extensions()
        code = serve_models(self.registered_models.get_models(), argv, extensions)
        if code:
            raise SystemExit(code)

    def _take(self, model: Any) -> None:
        """Register a model; a ready one is started, another is loaded by the server."""
        if not isinstance(model, Model):
            raise RuntimeError("Model type should be 'BaseKServeModel'")  # noqa: TRY004  # KServe's
        if getattr(model, "engine", False):
            raise RuntimeError(
                f'model "{model.name}" has engine=True, and engines are not started here; load it '
                "in load() and leave engine out"
            )
        self.register_model(model)
        start = getattr(model, "start", None)
        if model.ready and start is not None:
            start()

    def _predictor_config(self) -> PredictorConfig | None:
        values = self._values
        if not values["predictor_host"]:
            return None
        if values["enable_predictor_health_check"]:
            logger.warning(
                '--enable_predictor_health_check has no effect: readiness does not ask "%s"; '
                "watch the predictor's own readiness",
                values["predictor_host"],
            )
        return PredictorConfig(
            values["predictor_host"],
            values["predictor_protocol"],
            values["predictor_use_ssl"],
            values["predictor_request_timeout_seconds"],
            values["predictor_request_retries"],
            values["enable_predictor_health_check"],
        )

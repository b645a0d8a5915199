"""A model archive behind a name: unpacked, its handler loaded by the package `torchserve`, asked.

A handler is code, the archive's own or one that unpickles weights, so archives are loaded only
where the operator trusts them. A handler is asked one request at a time: it is not made for
threads.
"""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.torchserve.archive import Manifest, unpack
from sampan.runtimes.torchserve.vision import replace_operators
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

_ENVELOPES = {"v1": "kserve", "v2": "kservev2"}


class RawRequest(dict[str, Any]):
    """A request in TorchServe's own form: what a handler gets, without an envelope."""


class ArchiveModel(Model):
    """One archive. V1 and V2 go through TorchServe's envelopes, a RawRequest does not."""

    platform = "pytorch_torchserve"

    def __init__(self, name: str, archive: Path, manifest: Manifest, *, trust: bool) -> None:
        super().__init__(name)
        self.archive = archive
        self.manifest = manifest
        self._trust = trust
        self._folder: Path | None = None
        self._service: Any = None
        self._entries: dict[str, Any] = {}
        self._busy = threading.Lock()

    def load(self) -> bool:
        """Unpack and load the handler; LoadFailure tells what is wrong."""
        if not self._trust:
            raise LoadFailure(
                "ModelUntrusted",
                f'model archive "{self.archive.name}" brings a handler, which is code that runs '
                "only where the model is trusted; if you trust where it comes from, set the "
                "annotation "
                'serving.sampan.dev/trust: "true" (or start the server with --trust)',
            )
        loader = _import_loader()
        self._folder = folder = unpack(self.archive)
        sys.path.insert(0, str(folder))
        before = set(sys.modules)
        try:
            self._service = self._load_service(loader, folder)
        except Exception as error:
            raise LoadFailure(
                "ModelLoadFailed",
                f'handler "{self.manifest.handler}" of "{self.archive.name}": '
                f"{type(error).__name__}: {error}; mend the handler, or add what it imports to the "
                "requirements",
            ) from error
        finally:
            sys.path.remove(str(folder))
            _forget(folder, before)
        entry = self._service._entry_point  # noqa: SLF001  # what its own `predict` calls
        self._entries = {"": entry}
        for protocol, envelope in _ENVELOPES.items():
            made = loader._load_default_envelope(envelope)(entry)  # noqa: SLF001  # by its own name
            self._entries[protocol] = made.handle
        self.ready = True
        return self.ready

    def _load_service(self, loader: Any, folder: Path) -> Any:
        words = (self.name, str(folder), self.manifest.handler, None, 1, None)
        try:
            return loader.load(*words)
        except RuntimeError as error:
            if not replace_operators(error):
                raise
        return loader.load(*words)

    def stop(self) -> None:
        """Let the handler go, and remove its files."""
        super().stop()
        self._service, self._entries = None, {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def validate(self, payload: Any) -> Any:
        """Check V1 and V2; TorchServe's own form is the handler's to check."""
        return payload if isinstance(payload, RawRequest) else super().validate(payload)

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload through the envelope that handlers know."""
        del response_headers
        if isinstance(payload, RawRequest):
            return self._run("", payload, headers or {})
        if isinstance(payload, InferRequest):
            answer = self._run("v2", payload.to_dict(), headers or {})
            return {**answer, "model_name": self.name, "id": payload.id or ""}
        if not isinstance(payload, dict) or not payload.get("instances"):
            raise InvalidInput('Expected a JSON object with "instances", and an instance in it')
        return self._run("v1", payload, headers or {})

    def explain(self, payload: Any, headers: Headers | None = None) -> Any:
        """Answer a V1 payload with the handler's explanation."""
        return self._run("v1", payload, {**(headers or {}), "explain": "True"})

    def _run(self, protocol: str, content: Any, headers: Headers) -> Any:
        from ts.context import RequestProcessor  # type: ignore[import-not-found]  # torchserve's
        from ts.utils.util import PredictionException  # type: ignore[import-not-found]  # as above

        row = {"body": content} if protocol else dict(content)
        with self._busy:
            context = self._service.context
            context.request_ids = {0: headers.get("x-request-id", "-")}
            context.request_processor = [RequestProcessor(headers)]
            try:
                answers = self._entries[protocol]([row], context)
            except PredictionException as error:
                raise _blame(error) from error
            except Exception as error:
                raise InferenceError(f"{type(error).__name__}: {error}") from error
        if not isinstance(answers, list) or len(answers) != 1:
            got = len(answers) if isinstance(answers, list) else type(answers).__name__
            raise InferenceError(
                f'handler "{self.manifest.handler}" answers 1 request with {got}; return a list '
                "with an answer a request"
            )
        return answers[0]


def _blame(error: Any) -> Exception:
    """Return our error for one that a handler raised on purpose, with a status of its own."""
    code = getattr(error, "error_code", 500)
    return InvalidInput(error.message) if 400 <= code < 500 else InferenceError(error.message)


def _import_loader() -> Any:
    try:
        from ts.metrics.metric_cache_yaml_impl import (  # type: ignore[import-not-found]  # theirs
            MetricsCacheYamlImpl,
        )
        from ts.model_loader import TsModelLoader  # type: ignore[import-not-found]  # torchserve's
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"torchserve is not in the environment ({error}); install torch and torchserve, or "
            "give the image an entry in images.yaml whose requirements have them",
        ) from None
    import ts  # type: ignore[import-not-found]  # torchserve's

    file = Path(ts.__file__).parent / "configs" / "metrics.yaml"
    return _Loader(TsModelLoader(), MetricsCacheYamlImpl(config_file_path=str(file)))


class _Loader:
    """TorchServe's loader with its metrics."""

    def __init__(self, loader: Any, metrics: Any) -> None:
        self._loader = loader
        self._metrics = metrics
        metrics.initialize_cache()

    def load(self, *arguments: Any) -> Any:
        """Return the service of a handler."""
        return self._loader.load(*arguments, metrics_cache=self._metrics)

    def _load_default_envelope(self, name: str) -> Any:
        return self._loader._load_default_envelope(name)  # noqa: SLF001  # its own, by name


def _forget(folder: Path, before: set[str]) -> None:
    """Let the next archive have modules of the same names."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]

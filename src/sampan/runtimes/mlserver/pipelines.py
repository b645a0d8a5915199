"""`mlserver_huggingface.HuggingFaceRuntime`: a pipeline of transformers, asked in MLServer's forms.

The pipeline is transformers' own: of texts, so that a request names no paths and no addresses.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest, InferResponse
from sampan.runtimes.huggingface.loading import explain, validate_folder
from sampan.runtimes.mlserver.native import NativeModel
from sampan.runtimes.mlserver.pipeline_forms import OUTPUT, make_arguments, make_output
from sampan.runtimes.mlserver.pipeline_settings import PipelineSettings, make_pipeline_settings
from sampan.runtimes.mlserver.settings import ModelSettings
from sampan.server.load_failure import LoadFailure, missing_package
from sampan.server.model import Headers
from sampan.server.response_ids import make_response_id

logger = logging.getLogger("sampan.runtimes.mlserver")

_REFUSALS = (ValueError, TypeError, KeyError, IndexError)
"""What pipelines raise for arguments that they do not take."""


class PipelineModel(NativeModel):
    """A pipeline of a task. Its requests go one after the other: tokenizers are of one thread."""

    def __init__(self, settings: ModelSettings, root: Path, *, trust: bool) -> None:
        super().__init__(settings, trust=trust, allowed=frozenset())
        self._root = root
        self._pipeline: Any = None
        self._turn = threading.Lock()

    def load(self) -> bool:
        """Make the pipeline; LoadFailure tells what is wrong with settings, model or packages."""
        said = make_pipeline_settings(self.settings, self._root, os.environ, trust=self._trust)
        for warning in said.warnings:
            logger.warning('model "%s": %s', self.name, warning)
        for source in (said.model, said.tokenizer):
            if Path(source).is_absolute():
                validate_folder(Path(source))
        self._pipeline = _make_pipeline(said)
        self.ready = True
        return self.ready

    def stop(self) -> None:
        """Let the pipeline go."""
        super().stop()
        self._pipeline = None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return what the settings say, else the texts that the task takes."""
        task = getattr(self._pipeline, "task", "")
        names = ("question", "context") if task == "question-answering" else ("args",)
        return list(self.settings.inputs) or [_texts(name, "str") for name in names]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return what the settings say, else the one output."""
        return list(self.settings.outputs) or [_texts(OUTPUT, "hg_jsonlist")]

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V2 request with the pipeline's answer, a JSON text an element."""
        del headers, response_headers
        if not isinstance(payload, InferRequest):
            raise InvalidInput('models of MLServer take V2; send {"inputs": [...]} to .../infer')
        args, keywords = make_arguments(payload)
        return InferResponse(
            payload.id or make_response_id(),
            self.name,
            [make_output(self._run(args, keywords))],
            model_version=self.settings.version or None,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def _run(self, args: list[Any], keywords: dict[str, Any]) -> Any:
        try:
            with self._turn:
                return self._pipeline(*args, **keywords)
        except _REFUSALS as error:
            raise InvalidInput(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            if type(error).__name__ == "PipelineException":  # transformers' word for a wrong text
                raise InvalidInput(str(error)) from error
            raise InferenceError(f"{type(error).__name__}: {error}") from error


def _make_pipeline(said: PipelineSettings) -> Any:
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]  # an optional engine
        import transformers  # type: ignore[import-not-found,unused-ignore]  # an optional engine
    except ImportError as error:
        raise missing_package("transformers", error, "transformers and torch") from None
    if said.threads is not None:
        torch.set_num_threads(said.threads)
    if said.threads_between is not None:
        torch.set_num_interop_threads(said.threads_between)
    try:
        return transformers.pipeline(
            said.task,
            model=said.model,
            tokenizer=said.tokenizer,
            device=said.device,
            batch_size=said.batch_size,
            model_kwargs=dict(said.model_kwargs),
        )
    except KeyError as error:
        if "task" not in str(error):
            raise explain(said.model, error) from error
        raise LoadFailure(
            "ModelIncompatible",
            f'task "{said.task}" is not one of transformers {transformers.__version__}; install '
            "one that has it, as transformers<5",
        ) from None
    except Exception as error:
        raise explain(said.model, error) from error


def _texts(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": kind}}

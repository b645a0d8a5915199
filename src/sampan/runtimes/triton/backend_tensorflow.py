"""Triton's backend "tensorflow": `MODEL/VERSION/model.savedmodel`, one signature of it.

The parameters that Triton's backend knows and that have a meaning here are honoured:
`TF_SIGNATURE_DEF`, `TF_GRAPH_TAG`, `TF_NUM_INTRA_THREADS`, `TF_NUM_INTER_THREADS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.tensorflow.saved_model import Engine, SavedModel, Signature
from sampan.runtimes.triton.backends import Source
from sampan.runtimes.triton.config import CONFIG_FILE, ModelConfig
from sampan.server.load_failure import LoadFailure

_TAG, _SIGNATURE = "TF_GRAPH_TAG", "TF_SIGNATURE_DEF"
_INTRA, _INTER = "TF_NUM_INTRA_THREADS", "TF_NUM_INTER_THREADS"


class TensorflowBackend:
    """One session, however many instances: it may be run by many threads at once."""

    quick = True

    def __init__(self, source: Source) -> None:
        config = source.config
        if config.platform == "tensorflow_graphdef":
            raise LoadFailure(
                "ModelIncompatible",
                f'model "{config.name}", {CONFIG_FILE}: platform is "{config.platform}", which is '
                "not served; export a SavedModel, and name tensorflow_savedmodel",
            )
        engine = Engine(
            intra_threads=_threads(config, _INTRA),
            inter_threads=_threads(config, _INTER),
            tags=(config.parameters.get(_TAG, "serve"),),
            trust=source.trust,
        )
        self._model = SavedModel(source.path, engine)
        self._signature = self._find(config)
        self.inputs: Specs | None = self._signature.inputs
        self.outputs: Specs | None = self._signature.outputs

    def _find(self, config: ModelConfig) -> Signature:
        try:
            return self._model.find(config.parameters.get(_SIGNATURE, ""))
        except InvalidInput as error:
            self._model.close()
            raise LoadFailure(
                "ModelIncompatible", f'model "{config.name}", {CONFIG_FILE}: {error}'
            ) from None

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Run the signature."""
        return self._model.run(self._signature, given, outputs)

    def close(self) -> None:
        """Let the session go."""
        self._model.close()


def _threads(config: ModelConfig, name: str) -> int:
    value = config.parameters.get(name, "0")
    if not value.isdecimal():
        raise LoadFailure(
            "ModelIncompatible",
            f'model "{config.name}", {CONFIG_FILE}: {name} is "{value}"; give a number of threads',
        )
    return int(value)

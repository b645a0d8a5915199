"""A model of transformers behind a name: V1 and V2 for encoders, OpenAI's routes for both kinds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.openai import answers
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankRequest,
)
from sampan.runtimes.huggingface.completions import answer_chat, answer_completion, make_head
from sampan.runtimes.huggingface.encoder import Encoder
from sampan.runtimes.huggingface.encoder_forms import make_encoder_answer, read_texts
from sampan.runtimes.huggingface.generator import Generator
from sampan.runtimes.huggingface.loading import load
from sampan.runtimes.huggingface.settings import Settings
from sampan.runtimes.huggingface.tasks import Task
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model
from sampan.server.openai import Call, Kind

logger = logging.getLogger("sampan.runtimes.huggingface")


class HuggingfaceModel(Model):
    """One folder, or one name of the Hub. What it can be asked is known once it is loaded."""

    takes_headers = False
    platform = "huggingface"

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
        settings: Settings | None = None,
    ) -> None:
        del allowed  # nothing is unpickled by names
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._settings = settings or Settings()
        self._encoder: Encoder | None = None
        self._generator: Generator | None = None

    def load(self) -> bool:
        """Load tokenizer and network; LoadFailure tells what is wrong."""
        loaded = load(self._folder, self._settings, trust=self._trust)
        try:
            if loaded.task.generative:
                self._generator = Generator(loaded, self._settings)
            else:
                self._encoder = Encoder(loaded, self._settings)
        except InvalidInput as error:
            raise LoadFailure("ModelIncompatible", error.reason) from None
        logger.info(
            'model "%s" is for %s, with up to %s tokens', self.name, loaded.task.value,
            loaded.length,
        )  # fmt: skip
        self.ready = True
        return self.ready

    def stop(self) -> None:
        """Let the network go."""
        super().stop()
        self._encoder = self._generator = None

    @property
    def openai_kinds(self) -> frozenset[Kind]:
        """What OpenAI's routes can ask of it."""
        if self._generator is not None:
            return frozenset({Kind.COMPLETION, Kind.CHAT})
        if self._encoder is None:
            return frozenset()
        if self._encoder.task is Task.TEXT_EMBEDDING:
            return frozenset({Kind.EMBEDDING, Kind.RERANK})
        return frozenset({Kind.RERANK} if self._encoder.scores_pairs else ())

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the one input: texts."""
        if self._encoder is None:
            return []
        return [{"name": "input-0", "datatype": "BYTES", "shape": [-1]}]

    def validate(self, payload: Any) -> Any:
        """Check V1 and V2; what OpenAI's routes send has been checked."""
        return payload if isinstance(payload, Call) else super().validate(payload)

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload, or a `Call` of OpenAI's routes."""
        del headers, response_headers
        if isinstance(payload, Call):
            return self._answer(payload)
        if self._encoder is None:
            raise InvalidInput(
                f'model "{self.name}" makes text, which V1 and V2 have no form for; ask '
                "/openai/v1/completions or /openai/v1/chat/completions"
            )
        return make_encoder_answer(payload, self._encoder.answer(read_texts(payload)), self.name)

    def _answer(self, call: Call) -> Any:
        """Answer what the routes let through: `openai_kinds` has said that it can be asked."""
        request = call.request
        if isinstance(request, CompletionRequest) and self._generator is not None:
            return answer_completion(self._generator, request, call.gone)
        if isinstance(request, ChatRequest) and self._generator is not None:
            return answer_chat(self._generator, request, call.gone)
        assert self._encoder is not None  # noqa: S101  # as the kinds say
        if isinstance(request, EmbeddingRequest):
            return _embed(self._encoder, request)
        assert isinstance(request, RerankRequest)  # noqa: S101  # the last kind
        scores, tokens = self._encoder.score(request.query, request.documents)
        head = make_head(self.name)
        return answers.make_rerank(head, request.documents, scores, request.top_n, tokens)


def _embed(encoder: Encoder, request: EmbeddingRequest) -> Any:
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) < len(request.inputs):
        raise BadRequest('"input" has token numbers; send texts')
    vectors, tokens = encoder.embed(texts)
    if request.dimensions not in {None, len(vectors[0])}:
        raise BadRequest(
            f'"dimensions" is {request.dimensions}, and the model\'s vectors have '
            f"{len(vectors[0])}; leave it out"
        )
    head = make_head(request.model)
    return answers.make_embeddings(head, vectors, tokens, packed=request.base64)

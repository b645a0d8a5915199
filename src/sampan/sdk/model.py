"""`Model` as KServe's users know it: what the server needs of one, and asking a predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.client.predictor_protocol import PredictorProtocol
from sampan.protocol.errors import InvalidInput
from sampan.sdk.predictor import Predictor
from sampan.sdk.predictor_config import PredictorConfig, get_predictor_config
from sampan.server import model as served
from sampan.server.model import Headers, InferenceVerb
from sampan.server.steps import Ran, run_async


class Model(served.Model):
    """A model, a transformer or an explainer. Override `load`, `predict` and what else you need.

    Each of preprocess, predict, explain and postprocess may be a function or a coroutine
    function. Functions run on a worker thread, so that they hold up nobody; where one of the
    steps of a request is a coroutine function, all run on the event loop.

    Without a `predict` of its own the model asks its predictor: the one given here (where older
    KServe took it), else the one of `--predictor_host`. With `return_response_headers` predict
    and postprocess get a third argument, a dict that becomes response headers.
    """

    engine = False
    explainer_host: str | None = None

    def __init__(
        self,
        name: str,
        return_response_headers: bool | PredictorConfig = False,
        predictor_config: PredictorConfig | None = None,
    ) -> None:
        if isinstance(return_response_headers, PredictorConfig):
            predictor_config, return_response_headers = return_response_headers, False
        super().__init__(name, return_response_headers)
        self._predictor_config = predictor_config
        self._predictor: Predictor | None = None

    @property
    def predictor_config(self) -> PredictorConfig | None:
        """The predictor of this model: its own, else that of the process."""
        return self._predictor_config or get_predictor_config()

    def start(self) -> None:
        """Called when a server begins to serve the model."""
        self.ready = True

    async def __call__(
        self,
        body: Any,
        headers: Headers | None = None,
        verb: InferenceVerb = InferenceVerb.PREDICT,
    ) -> tuple[Any, Headers]:
        """Run a payload through all steps; return the result and the response headers."""
        ran = Ran()
        await run_async(self, body, headers or {}, verb, ran)
        return ran.result, ran.response_headers

    def validate(self, payload: Any) -> Any:
        """Check the preprocessed payload against the predictor's protocol; InvalidInput."""
        if not isinstance(payload, dict):
            return payload
        config = self.predictor_config
        v1 = config is None or config.protocol == PredictorProtocol.REST_V1.value
        key = "instances" if v1 else "inputs"
        if not isinstance(payload.get(key, []), list):
            raise InvalidInput(f'Expected "{key}" to be a list')
        return payload

    if TYPE_CHECKING:
        # The same signature again: a subclass may override these coroutine functions with plain
        # ones, which the type of a coroutine function would forbid.

        def predict(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102
        def explain(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102

    else:

        async def predict(self, payload, headers=None, response_headers=None):
            """Ask the predictor. NotImplementedError (HTTP 501) where there is none."""
            config = self.predictor_config
            if config is None:
                raise NotImplementedError("Could not find PredictorConfig.")
            if not config.predictor_host:
                raise NotImplementedError("Could not find predictor_host.")
            asked = self._asked(config)
            return await asked.predict(self.name, payload, headers, response_headers)

        async def explain(self, payload, headers=None):
            """Ask the explainer at `explainer_host`. NotImplementedError (HTTP 501) without one."""
            if self.explainer_host is None:
                raise NotImplementedError("Could not find explainer_host.")
            config = self.predictor_config or PredictorConfig("")
            scheme = "https" if config.use_ssl else "http"
            url = f"{scheme}://{self.explainer_host}"
            return await self._asked(config).explain(url, self.name, payload, headers)

    def _asked(self, config: PredictorConfig) -> Predictor:
        if self._predictor is None or self._predictor.config is not config:
            self._predictor = Predictor(config)
        return self._predictor

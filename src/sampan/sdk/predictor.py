"""Asks a predictor on behalf of a transformer: V1 or V2 over REST, V2 over gRPC.

Plain HTTP goes over connections of our own wire, an order of magnitude below what httpx costs;
httpx asks over TLS, and explainers, which are slow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sampan.client.forwarding import select_headers
from sampan.client.predictor_protocol import PredictorProtocol
from sampan.client.rest import InferenceRESTClient, RESTConfig
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.sdk.predictor_config import PredictorConfig

if TYPE_CHECKING:
    import ssl

    from sampan.client.grpc import InferenceGRPCClient
    from sampan.sdk.predictor_rest import RestPredictor


class Predictor:
    """One predictor. Its connections belong to the loop that asks."""

    def __init__(self, config: PredictorConfig) -> None:
        self.config = config
        self._rest: InferenceRESTClient | None = None
        self._light: RestPredictor | None = None
        self._grpc: InferenceGRPCClient | None = None

    async def predict(
        self,
        model_name: str,
        payload: Any,
        headers: Mapping[str, str] | None,
        response_headers: dict[str, str] | None,
    ) -> Any:
        """Return the predictor's answer: decoded JSON (V1) or an InferResponse (V2)."""
        if self.config.protocol == PredictorProtocol.GRPC_V2.value:
            return await self._predict_grpc(model_name, payload, headers)
        if not self.config.use_ssl:
            light = self._light_client()
            return await light.predict(model_name, payload, headers, response_headers)
        return await self._rest_client().infer(
            self.config.predictor_base_url,
            payload,
            model_name=model_name,
            headers=select_headers(headers),
            response_headers=response_headers,
        )

    async def explain(
        self, base_url: str, model_name: str, payload: Any, headers: Mapping[str, str] | None
    ) -> Any:
        """Return the answer of an explainer at a base URL (V1)."""
        client = self._rest_client()
        return await client.explain(base_url, model_name, payload, headers=select_headers(headers))

    async def _predict_grpc(
        self, model_name: str, payload: Any, headers: Mapping[str, str] | None
    ) -> Any:
        if not isinstance(payload, InferRequest):
            raise InvalidInput(
                f'a predictor with protocol "{self.config.protocol}" takes tensors; return an '
                "InferRequest from preprocess"
            )
        payload.model_name = model_name
        metadata = [*select_headers(headers).items()]
        metadata += [("request_type", "grpc_v2"), ("response_type", "grpc_v2")]
        return await self._grpc_client().infer(payload, headers=metadata)

    def _light_client(self) -> RestPredictor:
        light = self._light
        if light is None or light.loop is not asyncio.get_running_loop():
            from sampan.sdk.predictor_rest import RestPredictor

            light = self._light = RestPredictor(self.config)
        return light

    def _rest_client(self) -> InferenceRESTClient:
        if self._rest is None:
            config = self.config
            self._rest = InferenceRESTClient(
                RESTConfig(
                    protocol=config.protocol,
                    retries=config.retries,
                    timeout=config.timeout,
                    verify=_trust(),
                )
            )
        return self._rest

    def _grpc_client(self) -> InferenceGRPCClient:
        if self._grpc is None:
            from sampan.client.grpc import InferenceGRPCClient

            config = self.config
            self._grpc = InferenceGRPCClient(
                config.predictor_host,
                use_ssl=config.use_ssl,
                timeout=config.timeout,
                retries=config.retries,
            )
        return self._grpc


def _trust() -> bool | ssl.SSLContext:
    """Return the certificates to trust: those of a controller's bundle, else the system's."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        return True
    import ssl

    return ssl.create_default_context(cafile=bundle)

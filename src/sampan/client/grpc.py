"""KServe's `InferenceGRPCClient`: the same names and arguments, on grpcio.

Messages are coded by Sampan itself, so grpcio is all it needs. Errors are grpcio's.
"""

# ruff: noqa: ASYNC109  # `timeout` is an argument of KServe's signatures

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from sampan.client.rest import USE_CLIENT_DEFAULT
from sampan.protocol.grpc import client_form, messages
from sampan.protocol.tensors import InferRequest, InferResponse

_SERVICE = "/inference.GRPCInferenceService/"


class InferenceGRPCClient:
    """One server. `retries` is how often a call is tried where the server is UNAVAILABLE."""

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        url: str,
        verbose: bool = False,
        use_ssl: bool = False,
        root_certificates: str | None = None,
        private_key: str | None = None,
        certificate_chain: str | None = None,
        creds: Any = None,
        channel_args: list[tuple[str, Any]] | None = None,
        timeout: float | None = 60,
        retries: int | None = 3,
    ) -> None:
        import grpc  # type: ignore[import-untyped]  # ships no types

        if ":" not in url:
            url = f"{url}:{443 if use_ssl else 80}"
        options = [*(channel_args or ()), *_options(retries or 0)]
        self._verbose = verbose
        self._timeout = timeout
        if use_ssl and creds is None:
            creds = grpc.ssl_channel_credentials(
                *(_read(path) for path in (root_certificates, private_key, certificate_chain))
            )
        self._channel: Any = (
            grpc.aio.insecure_channel(url, options)
            if creds is None
            else grpc.aio.secure_channel(url, creds, options)
        )

    async def infer(
        self,
        infer_request: InferRequest,
        timeout: Any = USE_CLIENT_DEFAULT,
        headers: Sequence[tuple[str, str]] | None = None,
    ) -> InferResponse:
        """Predict; `headers` become metadata."""
        body = client_form.encode_request(infer_request)
        answer = await self._call("ModelInfer", body, timeout, headers)
        return client_form.decode_response(answer)

    async def is_server_ready(
        self, timeout: Any = USE_CLIENT_DEFAULT, headers: Sequence[tuple[str, str]] | None = None
    ) -> bool:
        """Whether the server takes inferences."""
        return await self._is("ServerReady", "ready", b"", timeout, headers)

    async def is_server_live(
        self, timeout: Any = USE_CLIENT_DEFAULT, headers: Sequence[tuple[str, str]] | None = None
    ) -> bool:
        """Whether the server runs."""
        return await self._is("ServerLive", "live", b"", timeout, headers)

    async def is_model_ready(
        self,
        model_name: str,
        timeout: Any = USE_CLIENT_DEFAULT,
        headers: Sequence[tuple[str, str]] | None = None,
    ) -> bool:
        """Whether a model answers."""
        body = messages.encode("inference.ModelReadyRequest", {"name": model_name})
        return await self._is("ModelReady", "ready", body, timeout, headers)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _is(self, method: str, field: str, body: bytes, timeout: Any, headers: Any) -> bool:
        answer = await self._call(method, body, timeout, headers)
        return bool(messages.decode(f"inference.{method}Response", answer)[field])

    async def _call(self, method: str, body: bytes, timeout: Any, headers: Any) -> bytes:
        call = self._channel.unary_unary(_SERVICE + method)
        limit = self._timeout if timeout is USE_CLIENT_DEFAULT else timeout
        answer: bytes = await call(body, timeout=limit, metadata=tuple(headers or ()))
        return answer


def _options(retries: int) -> list[tuple[str, Any]]:
    """Return the channel's options that retry: grpcio counts the first try among its attempts."""
    if retries < 1:
        return [("grpc.enable_retries", 0)]
    policy = {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
    return [("grpc.service_config", json.dumps(config))]


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()

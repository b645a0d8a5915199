"""KServe's `InferenceRESTClient` and `RESTConfig`: the same names, arguments and errors, on httpx.

Differences: `retries` works (KServe's makes a transport and drops it), and so does `cert`. As
there, only what was never sent is retried, and an error is `httpx.HTTPStatusError`.
"""

# ruff: noqa: ASYNC109  # `timeout` is an argument of KServe's signatures

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Self

from sampan.client import calls
from sampan.client.calls import Answer
from sampan.client.failure import error_text
from sampan.client.predictor_protocol import PredictorProtocol, is_v2
from sampan.protocol import json_out, media, v2_client
from sampan.protocol.errors import UnsupportedProtocol
from sampan.protocol.tensors import InferRequest, InferResponse
from sampan.protocol.v2 import HEADER_LENGTH

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("sampan.client")


class _ClientDefault:
    """The time limit of the client's own configuration."""


USE_CLIENT_DEFAULT = _ClientDefault()


class RESTConfig:
    """How to reach a server. `timeout` is in seconds; None waits for ever.

    `transport`, `cert`, `verify` and `auth` are httpx's. A transport that is given brings its own
    retries, HTTP version and certificates.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        protocol: str | PredictorProtocol = "v1",
        retries: int = 3,
        http2: bool = False,
        timeout: Any = 60,
        cert: Any = None,
        verify: Any = True,
        auth: Any = None,
        verbose: bool = False,
    ) -> None:
        self.transport = transport
        self.protocol = protocol.value if isinstance(protocol, PredictorProtocol) else protocol
        self.retries = retries
        self.http2 = http2
        self.timeout = timeout
        self.cert = cert
        self.verify = verify
        self.auth = auth
        self.verbose = verbose

    def make_client(self) -> httpx.AsyncClient:
        """Return the httpx client of this configuration."""
        import httpx

        transport = self.transport or httpx.AsyncHTTPTransport(
            retries=self.retries, http2=self.http2, cert=self.cert, verify=self.verify
        )
        return httpx.AsyncClient(transport=transport, timeout=self.timeout, auth=self.auth)


class InferenceRESTClient:
    """Asks any server by base URL, with the protocol of its configuration."""

    def __init__(self, config: RESTConfig | None = None) -> None:
        self._config = config or RESTConfig()
        self._client = self._config.make_client()

    async def infer(  # noqa: PLR0913, PLR0917  # KServe's signature
        self,
        base_url: httpx.URL | str,
        data: InferRequest | dict[str, Any],
        model_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        response_headers: MutableMapping[str, str] | None = None,
        is_graph_endpoint: bool = False,
        timeout: Any = USE_CLIENT_DEFAULT,
    ) -> InferResponse | dict[str, Any] | Any:
        """Predict: V1 returns decoded JSON, V2 an InferResponse, a graph endpoint decoded JSON.

        `response_headers` is filled with the answer's. Errors are httpx's; ValueError without a
        model's name.
        """
        v2 = is_v2(self._config.protocol)
        path = "" if is_graph_endpoint else self._path("infer", "predict", model_name)
        response = await self._post(base_url, path, data, headers, timeout)
        if response_headers is not None:
            response_headers.update(response.headers)
        answer = Answer(response.status_code, response.headers, response.content)
        if v2 and not is_graph_endpoint:
            return calls.read_inference(answer)
        return response.json()

    async def explain(
        self,
        base_url: httpx.URL | str,
        model_name: str,
        data: InferRequest | dict[str, Any],
        headers: Mapping[str, str] | None = None,
        timeout: Any = USE_CLIENT_DEFAULT,
    ) -> Any:
        """Explain; only V1 has it (UnsupportedProtocol)."""
        if is_v2(self._config.protocol):
            raise UnsupportedProtocol(self._config.protocol)
        path = self._path("", "explain", model_name)
        return (await self._post(base_url, path, data, headers, timeout)).json()

    async def is_server_ready(
        self,
        base_url: httpx.URL | str,
        headers: Mapping[str, str] | None = None,
        timeout: Any = USE_CLIENT_DEFAULT,
    ) -> bool:
        """Whether the server takes inferences; only V2 has it (UnsupportedProtocol)."""
        if not is_v2(self._config.protocol):
            raise UnsupportedProtocol(self._config.protocol)
        response = await self._get(base_url, "/v2/health/ready", headers, timeout)
        return bool(self._checked(response).json()["ready"])

    async def is_server_live(
        self,
        base_url: httpx.URL | str,
        headers: Mapping[str, str] | None = None,
        timeout: Any = USE_CLIENT_DEFAULT,
    ) -> bool:
        """Whether the server runs."""
        v2 = is_v2(self._config.protocol)
        response = await self._get(base_url, "/v2/health/live" if v2 else "/", headers, timeout)
        found = self._checked(response).json()
        return bool(found["live"]) if v2 else found["status"] == "alive"

    async def is_model_ready(
        self,
        base_url: httpx.URL | str,
        model_name: str,
        headers: Mapping[str, str] | None = None,
        timeout: Any = USE_CLIENT_DEFAULT,
    ) -> bool:
        """Whether a model answers: V2 by success alone; V1 raises for errors other than 503."""
        v2 = is_v2(self._config.protocol)
        path = f"/v2/models/{model_name}/ready" if v2 else f"/v1/models/{model_name}"
        response = await self._get(base_url, path, headers, timeout)
        if v2 or response.status_code == 503:
            return response.is_success
        return bool(self._checked(response).json()["ready"])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- sending -----------------------------------------------------------------------------

    def _path(self, v2_verb: str, v1_verb: str, model_name: str | None) -> str:
        if model_name is None:
            raise ValueError("model_name should not be 'None'")
        if is_v2(self._config.protocol):
            return f"/v2/models/{model_name}/{v2_verb}"
        return f"/v1/models/{model_name}:{v1_verb}"

    async def _post(
        self,
        base_url: httpx.URL | str,
        path: str,
        data: InferRequest | dict[str, Any],
        headers: Mapping[str, str] | None,
        timeout: Any,
    ) -> httpx.Response:
        body, own = encode_payload(data)
        response = await self._client.post(
            _url(base_url, path),
            content=body,
            headers={**own, **_lowered(headers, drop=HEADER_LENGTH in own)},
            **_limit(timeout),
        )
        if self._config.verbose:
            logger.info("POST %s: %s", response.url, response.status_code)
        return self._checked(response)

    async def _get(
        self,
        base_url: httpx.URL | str,
        path: str,
        headers: Mapping[str, str] | None,
        timeout: Any,
    ) -> httpx.Response:
        response = await self._client.get(
            _url(base_url, path), headers=_lowered(headers), **_limit(timeout)
        )
        if self._config.verbose:
            logger.info("GET %s: %s", response.url, response.status_code)
        return response

    def _checked(self, response: httpx.Response) -> httpx.Response:
        """Return a success; raise for anything else, with the server's words."""
        import httpx

        if response.is_success:
            return response
        json_body = media.is_json(
            media.media_type(response.headers.get("content-type", "").encode())
        )
        text = error_text(response.content) if json_body else ""
        raise httpx.HTTPStatusError(
            f"{text}, '{response.status_code} {response.reason_phrase}' for url '{response.url}'",
            request=response.request,
            response=response,
        )


def encode_payload(data: InferRequest | dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the body of a V1 or V2 payload, and the headers that it needs."""
    if not isinstance(data, InferRequest):
        return json_out.dumps(data), {"content-type": media.JSON.decode()}
    body, length = v2_client.encode_request(data)
    if length is None:
        return body, {"content-type": media.JSON.decode()}
    return body, {"content-type": media.BYTES.decode(), HEADER_LENGTH: str(length)}


def _lowered(headers: Mapping[str, str] | None, *, drop: bool = False) -> dict[str, str]:
    """Return the caller's headers; `drop`: the body has its own content type."""
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    if drop:
        lowered.pop("content-type", None)
    return lowered


def _limit(timeout: Any) -> dict[str, Any]:
    return {} if timeout is USE_CLIENT_DEFAULT else {"timeout": timeout}


def _url(base_url: httpx.URL | str, path: str) -> httpx.URL:
    """Return the URL of a path below a base URL; httpx.InvalidURL where that is none."""
    import httpx

    base = httpx.URL(base_url)
    if base.scheme not in {"http", "https"} or not base.host:
        raise httpx.InvalidURL("Base url should have 'http://' or 'https://' protocol")
    if not path:
        return base
    return base.copy_with(path=base.path.rstrip("/") + path, query=None)

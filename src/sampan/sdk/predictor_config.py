"""Where a transformer or explainer finds its predictor, and how it speaks to it."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.client.predictor_protocol import PredictorProtocol


@dataclass(frozen=True)
class PredictorConfig:
    """KServe's fields and their short names. `predictor_host` may end in `:PORT`."""

    predictor_host: str
    predictor_protocol: str = PredictorProtocol.REST_V1.value
    predictor_use_ssl: bool = False
    predictor_request_timeout_seconds: int = 600
    predictor_request_retries: int = 0
    predictor_health_check: bool = False

    @property
    def predictor_base_url(self) -> str:
        """The URL that every path is put behind."""
        scheme = "https" if self.predictor_use_ssl else "http"
        return f"{scheme}://{self.predictor_host}"

    @property
    def protocol(self) -> str:
        """The protocol."""
        return self.predictor_protocol

    @property
    def timeout(self) -> int:
        """Seconds that an answer may take."""
        return self.predictor_request_timeout_seconds

    @property
    def retries(self) -> int:
        """Further tries where the predictor could not be reached."""
        return self.predictor_request_retries

    @property
    def use_ssl(self) -> bool:
        """Whether TLS is spoken."""
        return self.predictor_use_ssl


_current: list[PredictorConfig] = []


def set_predictor_config(config: PredictorConfig | None) -> None:
    """Set the predictor of every model of this process that has none of its own."""
    _current[:] = [] if config is None else [config]


def get_predictor_config() -> PredictorConfig | None:
    """Return the predictor of this process, or None."""
    return _current[0] if _current else None

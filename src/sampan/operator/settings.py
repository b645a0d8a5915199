"""What `inferenceservice-config` says, read once for each version of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sampan.api.config import Config, parse_cached
from sampan.machinery.registry import JsonObject
from sampan.operator.cache import Cache
from sampan.platforms.kubernetes.pods.settings import PodSettings, parse_pod_settings
from sampan.platforms.kubernetes.settings import ClusterSettings, parse_settings

log = logging.getLogger(__name__)

CONFIG_MAP = "inferenceservice-config"


@dataclass(frozen=True, slots=True)
class Settings:
    """The three readings of one ConfigMap."""

    config: Config = Config()
    cluster: ClusterSettings = ClusterSettings()
    pods: PodSettings = PodSettings()


class SettingsReader:
    """Gives the settings as they are now; of a ConfigMap with mistakes, those of before."""

    def __init__(self, cache: Cache, namespace: str) -> None:
        self._cache = cache
        self._namespace = namespace
        self._version = ""
        self._settings = Settings()

    def read(self) -> Settings:
        """Return the settings, the defaults where there is no ConfigMap."""
        found = self._cache.get(self._namespace, CONFIG_MAP)
        version = str(found["metadata"]["resourceVersion"]) if found else ""
        if version != self._version:
            self._version = version
            self._settings = self._parse(found or {})
        return self._settings

    def data(self) -> dict[str, str]:
        """Return what the ConfigMap holds, for verdicts; nothing where there is none."""
        found = self._cache.get(self._namespace, CONFIG_MAP) or {}
        return found.get("data") or {}

    def _parse(self, config_map: JsonObject) -> Settings:
        data = config_map.get("data") or {}
        parsed = parse_cached(data or None)
        if parsed.errors:
            told = "; ".join(str(error) for error in parsed.errors)
            log.warning("%s is wrong, the settings of before stay: %s", CONFIG_MAP, told)
            return self._settings
        try:
            pods = parse_pod_settings(data, self._namespace)
            return Settings(parsed.config, parse_settings(data), pods)
        except ValueError as error:
            log.warning("%s cannot be read, the settings of before stay: %s", CONFIG_MAP, error)
            return self._settings

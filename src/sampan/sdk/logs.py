"""KServe's loggers, and how a model file configures them."""

from __future__ import annotations

import json
import logging
import logging.config
import os
from pathlib import Path
from typing import Any

KSERVE_LOGGER_NAME = "kserve"
KSERVE_TRACE_LOGGER_NAME = "kserve.trace"
KSERVE_LOGLEVEL = os.environ.get("KSERVE_LOGLEVEL", "INFO").upper()
_FORMAT = "%(asctime)s.%(msecs)03d %(process)s %(name)s %(levelname)s %(message)s"

logger = logging.getLogger(KSERVE_LOGGER_NAME)
trace_logger = logging.getLogger(KSERVE_TRACE_LOGGER_NAME)


def configure_logging(log_config: dict[str, Any] | str | None = None) -> None:
    """Configure logging: a dict for `dictConfig`, or a .json, .yaml or ini file; None: plainly.

    Where handlers are set up already, None leaves them. TypeError for a file that holds
    nothing of the kind.
    """
    if log_config is None:
        logging.basicConfig(level=KSERVE_LOGLEVEL, format=_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
    elif isinstance(log_config, dict):
        logging.config.dictConfig(log_config)
    elif log_config.endswith((".json", ".yaml", ".yml")):
        logging.config.dictConfig(_read(Path(log_config)))
    else:
        logging.config.fileConfig(log_config, disable_existing_loggers=False)


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text()
    if path.suffix == ".json":
        value = json.loads(text)
    else:
        import yaml

        value = yaml.safe_load(text)
    if not isinstance(value, dict):
        raise TypeError(f'"{path}" holds no logging configuration; write an object with "version"')
    return value

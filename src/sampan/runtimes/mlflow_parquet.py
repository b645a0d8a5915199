"""Parquet bodies of MLflow's scoring server, where the environment has an engine for them."""

from __future__ import annotations

import io
from typing import Any

from sampan.protocol.errors import InvalidInput


def parse_parquet(body: bytes) -> dict[str, Any]:
    """Return the columns of a Parquet file; InvalidInput where it is none, or nothing reads it."""
    import pandas as pd  # type: ignore[import-untyped]  # not in the core

    try:
        frame = pd.read_parquet(io.BytesIO(body))
    except ImportError:
        raise InvalidInput(
            "Parquet is not read in this environment; send JSON or CSV, or add pyarrow to the "
            "requirements (serving.sampan.dev/requirements)"
        ) from None
    except Exception as error:
        raise InvalidInput(
            f"the body is no Parquet ({str(error)[:120]}); send what DataFrame.to_parquet writes"
        ) from error
    return {"inputs": {str(name): frame[name].tolist() for name in frame.columns}}

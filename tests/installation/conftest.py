"""What `sampan install` prints, as objects."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.app.bootstrap import shipped_runtimes
from sampan.installation.bundle import make_bundle
from sampan.installation.options import Options


@pytest.fixture(scope="session")
def bundle() -> list[dict[str, Any]]:
    return make_bundle(Options(), shipped_runtimes())

"""What a daemon is told when it is started. Light, so that it can act on it while it imports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.app.paths import Paths


@dataclass(frozen=True, slots=True)
class Settings:
    """What a daemon is told. `api_port` 0 takes a free one; `temporary` state goes with it.

    `warm`: a service is certain to come, so prepare for one as the last was, while starting.
    """

    paths: Paths
    port: int = 8080
    api_port: int = 0
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    until_stdin_closes: bool = False
    temporary: bool = False
    warm: bool = False

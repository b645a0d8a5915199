"""What holds for every test: laws are about what is true, not about how fast a busy machine is.

The everyday run takes the same inputs each time, so that what was green stays green until the
code changes; `make laws` looks with fresh ones, and keeps what it finds as rows of a test.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SLOW_OR_LARGE = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "sampan", deadline=None, derandomize=True, suppress_health_check=SLOW_OR_LARGE
)
settings.register_profile(
    "fresh", deadline=None, max_examples=500, suppress_health_check=SLOW_OR_LARGE, print_blob=True
)
settings.load_profile("sampan")

"""What holds for every test: laws are about what is true, not about how fast a busy machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("sampan", deadline=None)
settings.load_profile("sampan")

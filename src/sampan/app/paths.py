"""Where Sampan keeps things: the XDG folders, or everything under `SAMPAN_HOME`.

State (store, records, logs) is private to the user: folders 0700, files 0600. The cache (models,
environments) can be removed at any time.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one installation.

    `state` belongs to one daemon, `cache` is shared by all. Sub-folders of `volumes` stand for
    PersistentVolumeClaims; a daemon with a temporary state folder uses the same ones.
    """

    state: Path
    cache: Path
    config: Path
    volumes: Path

    @property
    def daemon_file(self) -> Path:
        """Where a running daemon says how to reach it."""
        return self.state / "daemon.json"

    @property
    def lock_file(self) -> Path:
        """Held by the daemon of this state folder."""
        return self.state / "daemon.lock"

    @property
    def log_file(self) -> Path:
        """The daemon's own log."""
        return self.state / "daemon.log"

    @property
    def settings_file(self) -> Path:
        """The operator's settings; it may be absent."""
        return self.config / "config.yaml"

    @property
    def images_file(self) -> Path:
        """The operator's own images and the commands that stand for them; it may be absent."""
        return self.config / "images.yaml"

    def with_state(self, state: Path) -> Paths:
        """Return the same cache, configuration and volumes with another state folder."""
        return replace(self, state=state)

    def make(self) -> Paths:
        """Create the folders, private to the user, and return self."""
        for folder in (self.state, self.cache, self.config):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state.chmod(0o700)
        return self


def find_paths() -> Paths:
    """Return the paths of this user: `$SAMPAN_HOME/{state,cache,config}`, else the XDG folders."""
    home = os.environ.get("SAMPAN_HOME")
    if home:
        return paths_under(Path(home).absolute())
    user = Path.home()
    mac = sys.platform == "darwin"
    library = user / "Library"
    state = _xdg(
        "XDG_STATE_HOME", library / "Application Support" if mac else user / ".local/state"
    )
    cache = _xdg("XDG_CACHE_HOME", library / "Caches" if mac else user / ".cache")
    config = _xdg("XDG_CONFIG_HOME", user / ".config")
    own = state / "sampan"
    return Paths(own, cache / "sampan", config / "sampan", own / "volumes")


def paths_under(root: Path) -> Paths:
    """Return the paths of an installation that keeps everything under one folder."""
    state = root / "state"
    return Paths(state, root / "cache", root / "config", state / "volumes")


def _xdg(variable: str, default: Path) -> Path:
    # The XDG base directory specification: relative values are to be ignored.
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else default

"""What keeps a daemon from starting is told with the place and the mend."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sampan.app.local_run import describe_start_error
from sampan.machinery.errors import BadRequest

STATE = Path("/home/ann/.local/state/sampan")
FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(
            OSError(errno.ENOSPC, FULL),
            f'"{STATE}" cannot be written: {FULL}; free some disk space or make it writable, or '
            "choose another place with SAMPAN_HOME",
            id="a full disk that names nothing",
        ),
        pytest.param(
            PermissionError(errno.EACCES, "Permission denied", "/x/token"),
            '"/x/token" cannot be written: Permission denied; free some disk space or make it '
            "writable, or choose another place with SAMPAN_HOME",
            id="a file that is not ours",
        ),
        pytest.param(OSError("port 80 is taken"), "port 80 is taken", id="what says it all"),
        pytest.param(BadRequest("no such thing"), "no such thing", id="no error of the system"),
    ],
)
def test_a_start_that_fails_says_why(error: Exception, told: str) -> None:
    assert describe_start_error(error, STATE) == told

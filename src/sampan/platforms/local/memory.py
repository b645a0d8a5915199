"""Whether the kernel has just killed a process for want of memory.

The kernel counts such kills, those inside memory cgroups included, in `/proc/vmstat`, which anyone
may read. A process that died of SIGKILL, not sent by us, while the count grew was out of memory.
"""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def parse_oom_kills(vmstat: str) -> int:
    """Return the count `oom_kill` of `/proc/vmstat` (0: a kernel that does not count). Pure."""
    lines = (line.split() for line in vmstat.splitlines())
    return next((int(words[1]) for words in lines if words[0] == "oom_kill"), 0)


class OomWatch:
    """Compares the count with what it was some seconds ago.

    Two samples are kept, so that the tick that falls between a kill and the news of the death does
    not hide it.
    """

    def __init__(self, vmstat: Path = VMSTAT) -> None:
        self._vmstat = vmstat
        self._last = self._before = self._read()

    def tick(self) -> None:
        """Take a sample; called every few seconds."""
        self._before, self._last = self._last, self._read()

    def killed_lately(self) -> bool:
        """Return whether the kernel killed any process since the sample before the last."""
        return self._read() > self._before

    def _read(self) -> int:
        try:
            return parse_oom_kills(self._vmstat.read_text(encoding="ascii"))
        except OSError:  # no /proc: not known
            return 0

"""Who holds a port is told in one line, whatever the command of that process is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sampan.gateway.ports import observe_port_holder, show_command

HOLDER = """import socket, sys
held = socket.create_server(("127.0.0.1", 0))
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param(["nginx", "-g", "daemon off;"], "nginx -g daemon off;", id="as it is"),
        pytest.param(["python", "-c", "a\nb\t c"], "python -c a b c", id="lines become one"),
        pytest.param(["\x1b[31mred"], "?[31mred", id="nothing that a terminal obeys"),
        pytest.param(["a" * 500], "a" * 120, id="long ones are cut"),
    ],
)
def test_a_command_is_shown_in_a_line(words: list[str], shown: str) -> None:
    assert show_command(words) == shown


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc here")
def test_the_process_that_listens_is_found() -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        found = observe_port_holder(port)
        process.communicate(b"")
    assert found is not None
    assert found.pid == process.pid
    assert "\n" not in found.command
    assert "import socket, sys held" in found.command

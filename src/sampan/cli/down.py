"""`sampan down`: stop the platform and everything that it runs. What was applied stays stored."""

from __future__ import annotations

from sampan.app.paths import find_paths
from sampan.cli.daemon import holds_lock, read_server, stop
from sampan.cli.output import SYSTEM, CliError, say


def down() -> None:
    """Stop Sampan and every process it started; applied objects stay and come back with `up`."""
    paths = find_paths()
    server = read_server(paths)
    if server is not None and not stop(server.pid):
        raise CliError(
            f"the daemon (pid {server.pid}) did not end in 60 s; its log: {paths.log_file}", SYSTEM
        )
    if server is None and holds_lock(paths):
        raise CliError(f"a daemon is starting; try again, or see {paths.log_file}", SYSTEM)
    # A daemon that was killed leaves its models serving: they are found by their records.
    from sampan.app.orphans import stop_orphans

    left = stop_orphans(paths)
    from sampan.apiserver.kubeconfig import find_kubeconfig, remove_context

    remove_context(find_kubeconfig())
    if server is None and not left:
        say("nothing was running")
        return
    say(f"stopped{f', with {left} processes of a daemon that had died' if left else ''}")

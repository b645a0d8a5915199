"""The zygote: a process with a framework imported and no model loaded, forked for each replica.

Runs as a program inside a runtime's environment, so it imports the standard library only:

    python -P zygote_child.py serve LISTENER_FD IDLE_SECONDS [MODULE ...]
    python -P zygote_child.py run MODULE:FUNCTION NAME [ARGUMENT ...]

`serve` imports the modules, then answers on the Unix socket it inherited. A message is one JSON
object on a line.

To the zygote:

    {"op": "hello", "retire": bool}     retire: fork no more, end after the last child
    {"op": "fork", "id": n, "uid": s, "argv": [...], "env": {...}, "cwd": s, "log": path,
     "folder": path, "entry": "module:function" or ""}

From the zygote:

    {"event": "ready", "pid": n, "children": {uid: pid}}
    {"event": "failed", "reason": s, "message": s, "lines": [...]}
    {"event": "forked", "id": n, "pid": n, "ticks": n}
    {"event": "refused", "id": n, "message": s}

A new connection replaces the older ones and drops what they had sent but nobody had read, so a
daemon that says hello with `retire` knows that nothing more is started behind its back.

Files in a replica's `folder`: `lock` is held (flock) by the replica for as long as it lives and
names its process; `exit.json` is its wait status as waitpid(2) gives it, which outlives the
zygote and a daemon that was away; `termination.log` is Kubernetes's termination message. The lock
is taken before the fork, so the kernel refuses a second start of the same replica.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import random
import selectors
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any

Message = dict[str, Any]
"""A message as decoded from JSON."""

LOCK = "lock"
EXIT = "exit.json"
TERMINATION = "termination.log"
TERMINATION_VARIABLE = "SAMPAN_TERMINATION_LOG"
"""The environment variable that tells a replica where its termination message goes."""

START_ERROR = 128
"""Exit code of a replica that could not be started, as Kubernetes's runtimes give it."""

_MAX_MESSAGE = 16 << 20


class Served(Exception):
    """Raised in a forked child to leave the zygote's frames; carries the fork request."""

    def __init__(self, request: Message) -> None:
        super().__init__("forked")
        self.request = request


class Zygote:
    """The serving loop. One thread, one process, children by fork."""

    def __init__(self, listener: socket.socket, idle_seconds: float) -> None:
        self._listener = listener
        self._idle_seconds = idle_seconds
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[socket.socket, bytes] = {}
        self._children: dict[int, tuple[str, str]] = {}
        self._retired = False
        self._idle_since = time.monotonic()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def serve(self) -> None:
        """Answer until retired or idle without children; raises `Served` in a forked child."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        while not self._finished():
            for key, _ in self._selector.select(timeout=self._patience()):
                self._handle(key.fileobj)

    def _patience(self) -> float | None:
        if self._children or self._buffers:
            return None
        return max(0.0, self._idle_since + self._idle_seconds - time.monotonic())

    def _finished(self) -> bool:
        if self._children:
            return False
        if self._retired:
            return True
        return not self._buffers and time.monotonic() >= self._idle_since + self._idle_seconds

    def _handle(self, source: object) -> None:
        if source is self._listener:
            self._accept()
        elif source == self._wake_read:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            self._reap()
        elif isinstance(source, socket.socket) and source in self._buffers:
            self._receive(source)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        if not same_user(connection):
            connection.close()
            return
        for older in tuple(self._buffers):
            self._drop(older)
        connection.settimeout(10.0)  # a daemon that does not read for that long is stuck
        self._buffers[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)
        children = {uid: pid for pid, (uid, _) in self._children.items()}
        self._send({"event": "ready", "pid": os.getpid(), "children": children})

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._buffers[connection]
        connection.close()
        self._idle_since = time.monotonic()

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(1 << 16)
        except OSError:
            data = b""
        buffer = self._buffers[connection] + data
        if not data or len(buffer) > _MAX_MESSAGE:
            self._drop(connection)
            return
        *lines, self._buffers[connection] = buffer.split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, request: Message) -> None:
        if request["op"] == "hello":
            self._retired = self._retired or bool(request["retire"])
        elif self._retired:
            self._refuse(request, "this zygote is retired; start another")
        else:
            self._fork(request)

    def _refuse(self, request: Message, message: str) -> None:
        self._send({"event": "refused", "id": request["id"], "message": message})

    def _send(self, message: Message) -> None:
        line = json.dumps(message).encode() + b"\n"
        for connection in tuple(self._buffers):
            try:
                connection.sendall(line)
            except OSError:
                self._drop(connection)

    def _fork(self, request: Message) -> None:
        folder = str(request["folder"])
        try:
            lock = take_lock(folder)
        except BlockingIOError:
            self._refuse(
                request, f'a process of this replica still lives and holds "{folder}/lock"'
            )
            return
        except OSError as error:
            self._refuse(request, f'"{folder}/lock" cannot be taken: {error.strerror}')
            return
        begun, begins = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_child(lock)
            write_identity(lock, str(request["uid"]))
            os.close(begun)
            os.close(begins)
            raise Served(request)
        os.close(lock)  # the child's copy holds the lock on
        os.close(begins)
        os.read(begun, 1)  # ends when the child leads its session: only then it can be signalled
        os.close(begun)
        self._children[pid] = (str(request["uid"]), folder)
        ticks = start_ticks(pid)
        self._send({"event": "forked", "id": request["id"], "pid": pid, "ticks": ticks})

    def _become_child(self, lock: int) -> None:
        os.setsid()
        os.set_inheritable(lock, True)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for connection in tuple(self._buffers):
            connection.close()
        self._listener.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            uid, folder = self._children.pop(pid, ("", ""))
            if uid:
                self._idle_since = time.monotonic()
                write_exit(folder, uid, pid, status)


def same_user(connection: socket.socket) -> bool:
    """Return whether the peer runs as this user (or as root, who may do anything anyway).

    Where the kernel does not tell (no SO_PEERCRED), the socket's 0700 folder is the guard.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, 12))
    return uid in (os.getuid(), 0)


def start_ticks(pid: int) -> int:
    """Return field 22 of `/proc/PID/stat` (start in clock ticks since boot); 0 without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def take_lock(folder: str) -> int:
    """Open and lock a replica's lock file; raise OSError when a living replica holds it."""
    lock = os.open(Path(folder) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    return lock


def write_identity(lock: int, uid: str) -> None:
    """Write who holds the lock: one short write, so that a reader sees all of it or nothing."""
    identity = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "uid": uid}
    os.pwrite(lock, json.dumps(identity).encode(), 0)


def write_exit(folder: str, uid: str, pid: int, status: int) -> None:
    """Publish a wait status atomically; a folder that is gone needs none."""
    partial = Path(folder) / (EXIT + ".partial")
    body = {"uid": uid, "pid": pid, "status": status, "finished_at": time.time()}
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(body), encoding="utf-8")
        partial.replace(partial.with_name(EXIT))


def terminate_with(folder: str, reason: str, message: str) -> None:
    """Leave a termination message, unless the replica has written its own."""
    path = Path(folder) / TERMINATION
    with contextlib.suppress(OSError):
        if not path.exists() or path.stat().st_size == 0:
            path.write_text(json.dumps({"reason": reason, "message": message}), encoding="utf-8")


def start_replica(request: Message) -> int:
    """Turn this forked process into the replica; return its exit code (exec does not return)."""
    folder = str(request["folder"])
    argv = [str(word) for word in request["argv"]]
    try:
        reset_signals()
        redirect(str(request["log"]))
        os.chdir(str(request["cwd"]))
        os.environ.clear()
        os.environ.update(request["env"])
        if not request["entry"]:
            execute(argv)
    except OSError as error:
        terminate_with(folder, "StartError", start_error(error, argv))
        return START_ERROR
    with contextlib.suppress(OSError):  # what `ps` and `top` show; 15 bytes are kept
        Path("/proc/self/comm").write_text(Path(folder).name[:15], encoding="utf-8")
    sys.argv = argv
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # so that a log is live
    reseed()
    gc.enable()
    return call_entry(str(request["entry"]), argv[1:], folder)


def execute(argv: list[str]) -> None:
    """Replace this process by a command looked up on its own PATH; raise OSError."""
    path = os.environ.get("PATH", os.defpath)
    program = shutil.which(argv[0], path=path)
    if program is None:
        raise NoCommand(
            f'the command "{argv[0]}" is not found on PATH "{path}"; install it or name its path'
        )
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it; a fresh program does not
    os.execve(program, argv, os.environ)  # noqa: S606 # what a command is for


class NoCommand(OSError):
    """The command is nowhere on the replica's PATH."""


def start_error(error: OSError, argv: list[str]) -> str:
    """Return what kept a replica from starting, with the value and the mend."""
    if isinstance(error, NoCommand):
        return str(error)
    about = os.fsdecode(error.filename or argv[0])
    return f'"{about}" cannot be used: {error.strerror}; mend it or name another'


def reset_signals() -> None:
    """Give signals the dispositions of a fresh Python process."""
    for name in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def redirect(log: str) -> None:
    """Send both outputs to the end of a log file and take no input."""
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(null)
    os.close(output)


def reseed() -> None:
    """Give every random generator that was imported before the fork a seed of its own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def call_entry(entry: str, arguments: list[str], folder: str) -> int:
    """Run `module:function` with the arguments; its return value (None: 0) is the exit code."""
    try:
        module, _, function = entry.partition(":")
        result = getattr(importlib.import_module(module), function)(arguments)
    except Exception as error:  # noqa: BLE001 # whatever it raises ends this process, with a trace
        traceback.print_exc()
        terminate_with(folder, "Error", f"{type(error).__name__}: {error}")
        return 1
    return int(result or 0)


def quiesce() -> list[str]:
    """Make this process safe to fork; return the names of the threads that remain.

    OpenBLAS starts its threads when it is loaded and stops them before a fork (pthread_atfork),
    to start them again in whoever computes first. So one fork for nothing leaves one thread, and
    replicas still compute with all cores.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        tasks = [
            task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()
        ]
        return [(task / "comm").read_text().strip() for task in tasks]
    except OSError:  # no /proc: only Python's own threads are known
        import threading

        return [t.name for t in threading.enumerate() if t is not threading.main_thread()]


def prepare(modules: list[str]) -> Message | None:
    """Import the modules; return the failure to report, or None when ready to fork."""
    module = ""
    try:
        for module in modules:  # named in the report below
            importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 # reported to the daemon, then the process ends
        lines = traceback.format_exc().splitlines()
        message = f'importing "{module}" raised {type(error).__name__}: {error}'
        return {"event": "failed", "reason": "ImportFailed", "message": message, "lines": lines}
    threads = quiesce()
    if threads:
        message = f"imports started threads that a fork would lose: {', '.join(threads)}"
        return {"event": "failed", "reason": "ThreadsStarted", "message": message, "lines": []}
    gc.collect()
    gc.freeze()  # no collection touches, and so copies, the pages shared with the children
    return None


def serve(listener: socket.socket, idle_seconds: float, modules: list[str]) -> int:
    """Prepare, then serve; in a forked child run the replica. Return the exit code."""
    gc.disable()
    failure = prepare(modules)
    if failure is not None:
        listener.settimeout(idle_seconds)
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.sendall(json.dumps(failure).encode() + b"\n")
            connection.close()
        return 1
    try:
        Zygote(listener, idle_seconds).serve()
    except Served as served:
        request = served.request
    else:
        return 0
    return start_replica(request)


def main(argv: list[str]) -> int:
    """Run `serve` or `run`, as the head of this file says."""
    if argv[0] == "run":
        sys.argv = argv[2:]
        return call_entry(argv[1], argv[3:], str(Path(os.environ[TERMINATION_VARIABLE]).parent))
    return serve(socket.socket(fileno=int(argv[1])), float(argv[2]), argv[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

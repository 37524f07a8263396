"""Opens files so that they can be read and nothing else, for candidates to be handed.

A descriptor opened O_RDONLY is no protection: its holder, who has the worker's rights to the file itself, opens it once
more through /proc/self/fd and writes, or changes its mode. What holds is a file opened through a read-only mount. Such
mounts exist only in another mount namespace, so a `Lender` keeps a small process in one, under bubblewrap, with the whole
machine read-only, and asks it to open. It ends with the worker.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from workers.process import SandboxError

_CONFINED = ("bwrap", "--ro-bind", "/", "/", "--unshare-user", "--unshare-net", "--")
_PROGRAM = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as end:
    while path := end.recv(8192):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            end.send(b"%d" % error.errno)
        else:
            socket.send_fds(end, [b"0"], [descriptor])
            os.close(descriptor)
"""


class Lender:
    """One a worker. The process is started when it is first needed, and again should it have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def lend(self, path: Path) -> int:
        """A new descriptor of the file, its offset its own; the caller closes it. Raises OSError and SandboxError."""
        with self._lock:
            said, descriptors = self._ask(path)
            if not said:  # its process was ended: it may have been idle for hours
                self._close()
                said, descriptors = self._ask(path)
        if not said:
            raise SandboxError("what opens files read-only for candidates does not start: try `regatta doctor`")
        if not descriptors:
            raise OSError(int(said), os.strerror(int(said)), str(path))
        return descriptors[0]

    def close(self) -> None:
        with self._lock:
            self._close()

    def _ask(self, path: Path) -> tuple[bytes, list[int]]:
        if self._end is None:
            self._start()
        assert self._end is not None
        try:
            self._end.send(os.fsencode(path.absolute()))
            said, descriptors, _, _ = socket.recv_fds(self._end, 16, 1)
        except (BrokenPipeError, ConnectionResetError):
            return b"", []
        return said, descriptors

    def _start(self) -> None:
        self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [*_CONFINED, sys.executable, "-I", "-S", "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )

    def _close(self) -> None:
        if self._end is not None:
            self._end.close()  # which ends the process
            self._end = None
        if self.process is not None:
            self.process.wait()
            self.process = None

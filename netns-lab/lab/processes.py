"""Programs inside a lab: started, awaited, killed and reaped by process id."""

import os
import pathlib
import re
import signal
import subprocess
import threading
from typing import Optional

from mininet.node import Node

from lab.errors import LabError
from lab.waiting import poll_until

STOP_DEADLINE_S = 5.0


def run(node: Node, command: list[str], stdin: str = "") -> str:
    """Runs a short command inside a namespace and returns its output; LabError if it fails."""
    process = node.popen(command, stdin=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(stdin, timeout=10)
    except subprocess.TimeoutExpired as expired:
        process.kill()
        process.communicate()
        raise LabError(f"{node.name}: `{' '.join(command)}` hangs") from expired
    if process.returncode != 0:
        text = errors.strip() or output.strip()
        raise LabError(f"{node.name}: `{' '.join(command)}` failed: {text}")
    return output


class Daemon:
    """A long-running program inside a namespace, whose standard error goes to a file."""

    def __init__(self, node: Node, name: str, command: list[str], log: pathlib.Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = node.popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and reaped before this returns."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> Optional[int]:
        """SIGTERM; returns the exit status, or None if it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class TracedDaemon(Daemon):
    """A Daemon under strace, which writes down the messages that it sends."""

    def __init__(
        self, node: Node, name: str, command: list[str], log: pathlib.Path, trace: pathlib.Path
    ) -> None:
        self.trace = trace
        # -v: every message of a batch, not the first few.
        calls = "trace=sendto,sendmsg,sendmmsg,write,writev"
        strace = ["strace", "-f", "-qq", "-v", "-yy", "-s", "64", "-e", calls, "-o", str(trace)]
        super().__init__(node, name, strace + command, log)

    def terminate(self) -> Optional[int]:
        """SIGTERM to the traced program; strace then ends with its status."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGTERM)
            return self.process.wait(STOP_DEADLINE_S)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
            return None


class FakeKube:
    """vxmesh-fakekube on the API host; `url` is where it listens."""

    ANNOUNCEMENT = re.compile(r"vxmesh-fakekube listening on (http://\S+)")

    def __init__(self, node: Node, program: pathlib.Path, address: str, log: pathlib.Path) -> None:
        self.daemon = Daemon(
            node, "fakekube", [str(program), "--listen", f"{address}:0"], log
        )

        def announced() -> Optional[re.Match[str]]:
            return self.ANNOUNCEMENT.search(log.read_text(errors="replace"))

        found = poll_until(announced, lambda match: bool(match) or not self.daemon.running, 10)
        if found is None:
            raise LabError(f"vxmesh-fakekube did not say where it listens, see {log}")
        self.url = found[1]


class Daemons:
    """Every program of a lab, so that each exit path can end them all."""

    def __init__(self) -> None:
        self.all: list[Daemon] = []

    def add(self, daemon: Daemon) -> Daemon:
        self.all.append(daemon)
        return daemon

    def stop(self) -> None:
        """Ends and reaps whatever still runs."""
        running = [daemon for daemon in self.all if daemon.running]
        threads = [threading.Thread(target=daemon.terminate) for daemon in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

"""Runs of vxmesh-lab as processes of their own, and what they leave on the host."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import uuid
from typing import Any, Iterator

LAB = pathlib.Path(__file__).resolve().parents[1] / "vxmesh-lab"
MARK = "VXMESH_LAB_TEST_RUN"


class LabRun:
    """One vxmesh-lab; everything that it starts carries a mark in its environment."""

    def __init__(self, *arguments: str) -> None:
        self.mark = f"{MARK}={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [LAB, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {name: value},
        )

    def finish(self, within: float) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        try:
            output, errors = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self.end()
            raise
        return self.process.returncode, output, errors

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def await_line(self, start: str, within: float) -> None:
        """Returns when a line of standard output begins with `start`."""
        deadline = time.monotonic() + within
        for line in self.process.stdout:
            assert time.monotonic() < deadline, f"no line '{start}' within {within} s"
            if line.startswith(start):
                return
        raise AssertionError(f"ended without a line '{start}': {self.process.stderr.read()}")

    def living(self) -> list[int]:
        """The processes of this run that still live (its zombies do not)."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def await_none_living(self, within: float) -> list[int]:
        deadline = time.monotonic() + within
        while (living := self.living()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return living


@contextlib.contextmanager
def lab_run(*arguments: str) -> Iterator[LabRun]:
    run = LabRun(*arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGKILL)
        run.process.communicate()


def failed(result: dict[str, Any]) -> dict[str, Any]:
    """The failed checks of a run's JSON, by name."""
    return {check["name"]: check for check in result["checks"] if not check["passed"]}


def host_state() -> dict[str, Any]:
    """What a lab must leave as it was: links, packet filter, mounts, and network settings."""

    def output(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    links = [
        (link["ifname"], link["link_type"], link.get("address"), link["mtu"], link["flags"])
        for link in json.loads(output("ip", "-j", "link", "show"))
    ]
    settings = {}
    for line in output("sysctl", "--all", "--pattern", "^net\\.").splitlines():
        key, _, value = line.partition(" = ")
        if "conntrack_count" not in key:
            settings[key] = value
    return {
        "links": links,
        "nft": output("nft", "list", "ruleset"),
        "mounts": sorted(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
        "settings": settings,
    }

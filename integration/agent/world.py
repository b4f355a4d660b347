"""One host: a private network namespace with an underlay link, an API server and the real agent.

The test process itself enters a new network namespace for each test (unshare(2)), so whatever it
starts is inside, and the kernel takes the namespace away with the last process in it.
"""

import ctypes
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import typing
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("VXMESH_BIN_DIR", ROOT / "build/release/bin"))
CLONE_NEWNET = 0x40000000  # linux/sched.h
DEADLINE_S = 20
POLL_S = 0.02
OVERLAY = "100.96.0.0/12"
OWN_ADDRESS = "172.20.0.11"
OWN_POD_CIDR = "100.96.1.0/24"


class WorldError(AssertionError):
    """Something of the harness, or of a program under test, is not as a test needs it."""


def enter_new_namespace() -> None:
    """Puts this process into a network namespace of its own; needs CAP_SYS_ADMIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")


def run(*command: str) -> str:
    """Runs a program to its end and gives its output; a failure names the command and its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WorldError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def ip(*arguments: str) -> None:
    run("ip", *arguments)


def rows(program: str, *arguments: str) -> list[dict[str, typing.Any]]:
    """What `ip -j` or `bridge -j` prints, without its empty objects."""
    return [row for row in json.loads(run(program, "-j", *arguments) or "[]") if row]


def mac_of(pod_cidr: str) -> str:
    """The MAC that encodes an IPv4 PodCIDR."""
    return "00:53:" + ":".join(f"{int(byte):02x}" for byte in pod_cidr.split("/")[0].split("."))


class Process:
    """A program under test: its output in a file, ended and reaped by `end`."""

    def __init__(self, log: pathlib.Path, *command: str) -> None:
        self.log = log
        self._file = log.open("w")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._file, stderr=subprocess.STDOUT)

    @property
    def pid(self) -> int:
        return self._process.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = DEADLINE_S) -> int:
        """Its exit status."""
        return self._process.wait(seconds)

    def ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def terminate(self) -> int:
        self._process.terminate()
        return self.wait()

    def kill(self) -> int:
        self._process.kill()
        return self.wait()

    def until(self, condition: typing.Callable[[], typing.Any], what: str) -> typing.Any:
        """Waits until `condition` gives something true, and gives that; fails if we end before."""
        end = time.monotonic() + DEADLINE_S
        while True:
            value = condition()
            if value:
                return value
            if self.ended_within(POLL_S):
                raise WorldError(f"ended with {self.wait()}, waited for {what}:\n{self.text()}")
            if time.monotonic() > end:
                raise WorldError(f"not within {DEADLINE_S} s: {what}\n{self.text()}")

    def end(self) -> None:
        if not self.ended_within(0):
            self._process.kill()
            self._process.wait()
        self._file.close()


class Http:
    """Requests to a server on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, path: str, body: typing.Any = None) -> tuple[int, str]:
        request = urllib.request.Request(
            self.url + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=DEADLINE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, method: str, path: str, body: typing.Any = None) -> typing.Any:
        status, text = self.request(method, path, body)
        if status >= 300:
            raise WorldError(f"{method} {path}: {status} {text}")
        return json.loads(text or "null")


class Api(Http):
    """The fake API server, through its ordinary paths and its control endpoint."""

    def __init__(self, log: pathlib.Path) -> None:
        self.process = Process(log, str(BIN / "vxmesh-fakekube"), "--listen", "127.0.0.1:0")
        found = self.process.until(
            lambda: re.search(r"listening on (http://\S+)", self.process.text()), "its address")
        super().__init__(found.group(1))

    def add(self, name: str, pod_cidr: typing.Optional[str], address: typing.Optional[str],
            **metadata: str) -> None:
        self.json("POST", "/api/v1/nodes", node(name, pod_cidr, address, **metadata))

    def change_address(self, name: str, address: str) -> None:
        stored = self.json("GET", f"/api/v1/nodes/{name}")
        stored["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
        self.json("PUT", f"/api/v1/nodes/{name}", stored)

    def delete(self, name: str) -> None:
        self.json("DELETE", f"/api/v1/nodes/{name}")

    def state(self) -> dict[str, typing.Any]:
        return self.json("GET", "/control/state")


def node(name: str, pod_cidr: typing.Optional[str], address: typing.Optional[str],
         **metadata: str) -> dict[str, typing.Any]:
    """A Node object as kubelet and the controllers would have filled it in."""
    spec = {} if pod_cidr is None else {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
    addresses = [] if address is None else [{"type": "InternalIP", "address": address}]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, **metadata},
            "spec": spec, "status": {"addresses": addresses}}


class World:
    """The namespace, the API server with our own Node, and agents."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._processes: list[Process] = []
        enter_new_namespace()
        ip("link", "set", "lo", "up")
        ip("link", "add", "name", "underlay", "type", "bridge")
        ip("address", "add", f"{OWN_ADDRESS}/24", "dev", "underlay")
        ip("link", "set", "underlay", "up")
        self.api = Api(folder / "fakekube.log")
        self._processes.append(self.api.process)

    def add_own_node(self) -> None:
        self.api.add("n1", OWN_POD_CIDR, OWN_ADDRESS)

    def start(self, program: str, *arguments: str) -> Process:
        log = self.folder / f"{program}-{len(self._processes)}.log"
        process = Process(log, str(BIN / program), *arguments)
        self._processes.append(process)
        return process

    def start_agent(self, *arguments: str) -> "Agent":
        process = self.start(
            "vxmesh-agent", "run", "--node-name", "n1", "--overlay", OVERLAY,
            "--server", self.api.url, "--listen", "127.0.0.1:0",
            "--lock-file", str(self.folder / "agent.lock"), *arguments)
        return Agent(process)

    def agent(self, *arguments: str) -> "Agent":
        """An agent that is ready."""
        agent = self.start_agent(*arguments)
        agent.until(lambda: agent.readyz()[0] == 200, "ready")
        return agent

    def cleanup(self, *arguments: str) -> tuple[int, str]:
        process = self.start("vxmesh-agent", "cleanup", "--lock-file",
                             str(self.folder / "agent.lock"), *arguments)
        return process.wait(), process.text()

    def end(self) -> None:
        for process in reversed(self._processes):
            process.end()


class Agent(Http):
    """A running agent and what it says of itself."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.until = process.until
        found = process.until(
            lambda: re.search(r"probes=\"?(http://[^\s\"]+)", process.text()), "its address")
        super().__init__(found.group(1))

    def readyz(self) -> tuple[int, str]:
        return self.request("GET", "/readyz")

    def metric(self, name: str, **labels: str) -> int:
        """The value of one series; 0 if it does not exist."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in self.request("GET", "/metrics")[1].splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found.group(1) == name and wanted == set(
                    filter(None, (found.group(2) or "").split(","))):
                return int(float(found.group(3)))
        return 0


# --- What the kernel holds ---


def device(name: str = "vxlan1") -> typing.Optional[dict[str, typing.Any]]:
    return next((row for row in rows("ip", "-d", "link", "show") if row["ifname"] == name), None)


def fdb() -> dict[str, str]:
    """MAC -> destination, of every FDB entry on the device."""
    return {row["mac"]: row["dst"] for row in rows("bridge", "fdb", "show", "dev", "vxlan1")}


def routes() -> set[str]:
    """Destinations of our on-link routes."""
    return {row["dst"] for row in rows("ip", "-4", "route", "show", "dev", "vxlan1")}


def refusals() -> set[tuple[str, int]]:
    return {(row["dst"], row.get("metric", 0))
            for row in rows("ip", "-4", "route", "show", "type", "unreachable")}


def neighbours() -> dict[str, dict[str, typing.Any]]:
    """Address -> row, resolved ones only."""
    shown = rows("ip", "-4", "neigh", "show", "dev", "vxlan1", "nud", "all")
    return {row["dst"]: row for row in shown if "lladdr" in row}


def send(address: str) -> None:
    """One UDP packet to the address's discard port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (address, 9))

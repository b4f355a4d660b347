"""The lab's side of the endpoints: starts them, sends them commands, understands what they say."""

import dataclasses
import itertools
import json
import pathlib
import subprocess
import threading
from typing import Any, Optional

from mininet.node import Node

from lab.errors import LabError

ENDPOINT = pathlib.Path(__file__).with_name("endpoint.py")
PROTOCOLS = ("udp", "tcp", "icmp")
LINGER_S = 3.0  # how long after the last message an answer still counts


@dataclasses.dataclass(frozen=True)
class FlowResult:
    """What became of one flow of numbered messages; times are in microseconds."""

    sent: int
    received: int
    lost: list[int]  # the first few sequence numbers that were never answered
    first_us: Optional[float]
    median_us: Optional[float]
    max_us: Optional[float]
    who: list[str]  # the names of those who answered (UDP and TCP)
    sources: list[str]  # our source address as they saw it (UDP and TCP)
    errors: dict[str, int]
    connect_us: float
    syn_retransmissions: int
    retransmissions: int

    @property
    def lossless(self) -> bool:
        """Everything was answered, and no SYN had to be sent twice."""
        return 0 < self.sent == self.received and self.syn_retransmissions == 0

    def __str__(self) -> str:
        text = f"{self.received}/{self.sent}"
        if self.lost:
            text += f" lost {self.lost}"
        if self.syn_retransmissions:
            text += f" {self.syn_retransmissions} SYN lost"
        if self.errors:
            text += f" {self.errors}"
        return text


class Call:
    """A command that an endpoint is executing."""

    def __init__(self, endpoint: "Endpoint", identifier: int) -> None:
        self._endpoint = endpoint
        self._identifier = identifier
        self._done = threading.Event()
        self._answer: dict[str, Any] = {}

    def complete(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self._done.set()

    def stop(self) -> None:
        """Asks a flow without a count to end."""
        self._endpoint.send({"id": 0, "do": "stop", "target": self._identifier})

    def answer(self, within: float = 30) -> dict[str, Any]:
        if not self._done.wait(within):
            raise LabError(f"endpoint {self._endpoint.name} did not answer within {within:g} s")
        if "failure" in self._answer:
            raise LabError(f"endpoint {self._endpoint.name}: {self._answer['failure']}")
        return self._answer

    def flow(self, within: float = 30) -> FlowResult:
        return FlowResult(**self.answer(within))


class Endpoint:
    """The helper process inside one namespace. See endpoint.py for its commands."""

    def __init__(self, node: Node, watch_neighbours: bool, log: pathlib.Path) -> None:
        self.name = node.name
        self._identifiers = itertools.count(1)
        self._lock = threading.Lock()
        self._ready = Call(self, 0)
        self._calls: dict[int, Call] = {0: self._ready}
        command = ["/usr/bin/python3", "-I", "-S", str(ENDPOINT), node.name]
        with log.open("ab") as errors:
            self.process = node.popen(
                command + (["--neighbours"] if watch_neighbours else []),
                stdin=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            )
        threading.Thread(target=self._read, daemon=True).start()

    def await_ready(self) -> None:
        self._ready.answer(10)

    def send(self, request: dict[str, Any]) -> None:
        with self._lock:
            self.process.stdin.write(json.dumps(request) + "\n")

    def start(self, do: str, **arguments: Any) -> Call:
        identifier = next(self._identifiers)
        call = Call(self, identifier)
        self._calls[identifier] = call
        self.send({"id": identifier, "do": do, **arguments})
        return call

    def flow(
        self,
        to: str,
        kind: str,
        interval: float,
        count: Optional[int] = None,
        linger: float = LINGER_S,
    ) -> Call:
        """Starts a flow of `count` messages, or one that lasts until its stop()."""
        arguments = {"to": to, "kind": kind, "interval": interval, "count": count}
        return self.start("flow", linger=linger, **arguments)

    def refusal(self, to: str, kind: str, within: float) -> tuple[str, float]:
        """The errno's name, and the milliseconds until it came, of a packet to be refused."""
        answer = self.start("refusal", to=to, kind=kind, within=within).answer()
        return answer["error"], answer["after_ms"]

    def close(self) -> None:
        """Ends and reaps the process."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        for line in self.process.stdout:
            message = json.loads(line)
            self._calls.pop(message["id"]).complete(message["answer"])
        for call in list(self._calls.values()):
            call.complete({"failure": "it ended"})

"""An agent dies by SIGKILL in the middle of traffic, and another takes its place."""

import contextlib
import time
from typing import Any, Iterator

from lab import matrix
from lab.crowd import crowded
from lab.kernel import DEVICE
from lab.lab import Lab
from lab.misses import MissListener
from lab.probes import PROTOCOLS, Call
from lab.processes import run
from lab.report import Report
from lab.topology import Pod
from lab.trace import read_trace

INTERVAL_S = 0.05
AFTER_RESTART_S = 2.0  # how long flows go on, and writes are looked for, after the restart
EXPECTED_READS = {"RTM_GETLINK", "RTM_GETROUTE", "RTM_GETNEIGH"}


class DeadAgent:
    """Kills n1's agent while flows are forwarded to and from its pods, and starts it again."""

    def __init__(self, lab: Lab, report: Report, dead_for: float, crowd: bool) -> None:
        self.lab = lab
        self.report = report
        self.dead_for = dead_for
        self.crowd = crowd
        self.node = lab.nodes["n1"]
        self.peer = lab.nodes["n2"]
        self.view = lab.view(self.node)
        # Resolved the plain way while the agent is dead, if there is a crowd; else as all others.
        self.canary = self.peer.pods[1]

    def run(self) -> None:
        flows = self._start_flows()
        before = self._tables()
        listener = MissListener(self.lab, self.node)
        self.lab.agents[self.node.name].kill()
        if self.crowd:
            with crowded(self.lab.topology.underlay), self._plain_neighbour():
                time.sleep(self.dead_for)
        else:
            time.sleep(self.dead_for)
        name = f"dead for {self.dead_for:g} s"
        self.report.equal(f"{name}: tables as before", self._tables(), before)
        missed = [a for a in listener.heard().missed if a != self.canary.address]
        self.report.equal(f"{name}: no miss", missed, [])
        agent = self.lab.start_traced_agent(self.node)
        self.lab.await_ready(self.node, within=30)
        time.sleep(AFTER_RESTART_S)
        self._judge(flows)
        trace = read_trace(agent.trace)
        seen = sorted(EXPECTED_READS & set(trace.reads))
        self.report.equal("restart: its reads are seen", seen, sorted(EXPECTED_READS))
        self.report.equal(
            "restart: the new agent issues no write", trace.writes, [], f"{len(trace.reads)} reads"
        )
        if self.crowd:
            path = matrix.pod_to_pod(self.node.pods[1], self.canary)
            again = matrix.probe(self.lab, [path], 3)
            self.report.equal("restart: resolves what has died", matrix.faults(again), [])

    def _tables(self) -> tuple[Any, ...]:
        neighbours = self.view.neighbours()
        kept = [entry for entry in neighbours if entry.address != self.canary.address]
        return self.view.fdb(), self.view.routes(), kept

    # ---------------------------------------------------------------------------------- flows

    def _start_flows(self) -> dict[str, Call]:
        own = self.node.pods[0]
        peers = [self.peer.pods[0], self.lab.nodes["n3"].pods[0]]
        pairs = [pair for peer in peers for pair in ((own, peer), (peer, own))]
        return {
            f"{source.name} -> {target.name} {kind}": self._flow(source, target, kind)
            for source, target in pairs
            for kind in PROTOCOLS
        }

    def _flow(self, source: Pod, target: Pod, kind: str) -> Call:
        return self.lab.endpoints[source.name].flow(target.address, kind, INTERVAL_S)

    def _judge(self, flows: dict[str, Call]) -> None:
        least = int(self.dead_for / INTERVAL_S)
        for flow in flows.values():
            flow.stop()
        for name, flow in flows.items():
            result = flow.flow()
            self.report.require(
                f"killed agent: {name} loses nothing",
                result.lossless and result.sent >= least,
                result,
                f"all answered, at least {least}",
                f"{result.received} of {result.sent}",
            )

    # --------------------------------------------------------------------------------- canary

    @contextlib.contextmanager
    def _plain_neighbour(self) -> Iterator[None]:
        """Has one neighbour of the node be plain NOARP, with traffic, and shows that it dies."""
        entry = [self.canary.address, "dev", DEVICE]
        plain = ["lladdr", self.peer.mac, "nud", "noarp"]
        run(self.node.host, ["ip", "neigh", "replace"] + entry + plain)
        flow = self._flow(self.node.pods[1], self.canary, "udp")
        yield
        flow.stop()
        result = flow.flow()
        neighbours = [e for e in self.view.neighbours() if e.address == self.canary.address]
        alive = [entry for entry in neighbours if "NOARP" in entry.state]
        self.report.equal("plain NOARP beside it: has died", alive, [])
        self.report.require(
            "plain NOARP beside it: its flow is cut",
            0 < result.received < result.sent,
            result,
            "the first answered, the last lost",
        )
        if neighbours:
            run(self.node.host, ["ip", "neigh", "del"] + entry)

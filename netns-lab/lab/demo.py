"""The demonstration: three nodes come up, and every promise of the overlay is checked on them."""

import statistics
import time
from typing import Any, Callable

from lab import matrix, wanted
from lab.crowd import require_crowd
from lab.dead_agent import DeadAgent
from lab.lab import Lab
from lab.misses import MissListener
from lab.processes import run
from lab.report import Report
from lab.topology import UNDERLAY_PREFIX, LabNode, NodeSpec, configure

# n4 joins later; n5 takes over its PodCIDR. (The kernel's neighbour table is the whole host's, so
# a lab has no more pods than it needs.)
NODES = [
    NodeSpec("n1", "100.96.1.0/24", 2),
    NodeSpec("n2", "100.96.2.0/24", 2),
    NodeSpec("n3", "100.96.3.0/24", 2),
    NodeSpec("n4", "100.96.4.0/24", 1),
    NodeSpec("n5", "100.96.4.0/24", 1),
]
FIRST_MEMBERS = ("n1", "n2", "n3")
MATRIX_COUNT = 10

REFUSED_WITHIN_MS = 100
REFUSED_ATTEMPTS = 5
UNKNOWN_ADDRESS = "100.96.77.{}"  # in no node's PodCIDR


class Demo:
    """One run; the phases build on each other."""

    def __init__(self, lab: Lab, report: Report, dead_for: float, crowd: bool) -> None:
        self.lab = lab
        self.report = report
        self.dead_for = dead_for
        self.crowd = crowd
        self.matrix: matrix.Results = {}
        self.first_us: list[float] = []
        self.steady_us: list[float] = []

    def run(self) -> None:
        phases: list[Callable[[], None]] = [
            self.bring_up,
            self.tables,
            self.first_packets,
            self.by_the_underlay,
            self.full_matrix,
            self.unknown_addresses,
            self.join,
            self.change_address,
            self.leave,
            self.take_over,
            self.dead_agent,
            self.terminate,
        ]
        for phase in phases:
            started = time.monotonic()
            self.report.heading((phase.__doc__ or "").splitlines()[0])
            phase()
            seconds = self.report.figures.setdefault("phase_seconds", {})
            seconds[phase.__name__] = round(time.monotonic() - started, 2)
        self.summary()

    # ------------------------------------------------------------------------------- phases

    def bring_up(self) -> None:
        """Bring-up."""
        self.lab.start(NODES)
        if self.crowd:
            require_crowd(self.lab.topology.underlay)
        for name in FIRST_MEMBERS:
            self.lab.join(self.lab.nodes[name])
        for node in self.lab.members:
            self.lab.await_ready(node)
        names = ", ".join(FIRST_MEMBERS)
        self.report.line(f"     {names}: two pods each, agents ready, API at {self.lab.api_url}")

    def tables(self) -> None:
        """Each node's tables, before any traffic."""
        for node in self.lab.members:
            view = self.lab.view(node)
            name = node.name
            self.report.eventually(
                f"{name}: device", view.device, wanted.device(node), note=f"MAC {node.mac}"
            )
            self.report.eventually(f"{name}: address", view.addresses, wanted.addresses(node))
            self._tables_follow(node)

            def parameters() -> dict[str, Any]:
                values: dict[str, Any] = view.neighbour_parameters()
                values["asks the agent"] = values.pop("app_solicit") > 0
                return values

            self.report.equal(
                f"{name}: neighbour parameters", parameters(), wanted.neighbour_parameters()
            )
            self.report.equal(f"{name}: no neighbour before traffic", view.neighbours(), [])

    def first_packets(self) -> None:
        """First packets: each raises a miss, which the agent answers."""
        listeners = {node.name: MissListener(self.lab, node) for node in self.lab.members}
        lost = []
        for path in self._first_paths():
            call = self.lab.endpoints[path.source].flow(path.to, "udp", 0, 1)
            result = call.flow()
            if result.lossless and result.first_us is not None:
                self.first_us.append(result.first_us)
            lost += matrix.faults({(path, "udp"): result})
        self.report.equal(
            "first packets: none lost", lost, [], f"{len(self.first_us)} round trips"
        )
        for node in self.lab.members:
            remote = {
                address
                for other in self.lab.others(node)
                for address in other.overlay_addresses
            }
            heard = listeners[node.name].heard(remote)
            self.report.equal(f"{node.name}: misses overrun", heard.overruns, 0)
            self.report.equal(
                f"{node.name}: a miss for every remote pod and base address",
                sorted(set(heard.missed)),
                sorted(remote),
            )
            times = heard.answered_us.values()
            note = f"median {statistics.median(times):.0f} us" if times else ""
            self.report.equal(
                f"{node.name}: each miss answered", sorted(heard.answered_us), sorted(remote), note
            )

    def _first_paths(self) -> list[matrix.Path]:
        """One direction of each pair: replies raise the misses of the other."""
        members = self.lab.members
        paths = []
        for index, node in enumerate(members):
            for other in members[index + 1 :]:
                pods = zip(node.pods, other.pods)
                paths += [matrix.pod_to_pod(pod, peer) for pod, peer in pods]
                paths.append(matrix.node_to_base(node, other))
        return paths

    def by_the_underlay(self) -> None:
        """Pod to remote node: by the underlay, without a miss."""
        members = self.lab.members
        listeners = {node.name: MissListener(self.lab, node) for node in members}
        before = {node.name: self.lab.view(node).transmitted() for node in members}
        paths = [
            matrix.pod_to_node(pod, other)
            for node in members
            for pod in node.pods
            for other in self.lab.others(node)
        ]
        results = matrix.probe(self.lab, paths, 3)
        self.report.equal(
            "pod to remote node: answered", matrix.faults(results), [], matrix.counted(results)
        )
        after = {node.name: self.lab.view(node).transmitted() for node in members}
        self.report.equal("pod to remote node: nothing sent through the tunnel", after, before)
        missed = {name: listener.heard().missed for name, listener in listeners.items()}
        self.report.equal(
            "pod to remote node: raises no miss", missed, {name: [] for name in listeners}
        )

    def full_matrix(self) -> None:
        """The full matrix: pod to pod, node to pod, pod to remote node."""
        listeners = {node.name: MissListener(self.lab, node) for node in self.lab.members}
        self.matrix = matrix.probe(self.lab, matrix.full(self.lab.members), MATRIX_COUNT)
        self.report.equal(
            "matrix: no packet lost",
            matrix.faults(self.matrix),
            [],
            matrix.counted(self.matrix),
        )
        missed = {name: listener.heard().missed for name, listener in listeners.items()}
        self.report.equal(
            "matrix: every address is known by now", missed, {name: [] for name in listeners}
        )
        for node in self.lab.members:
            self.report.equal(
                f"{node.name}: neighbours",
                self.lab.view(node).neighbours(),
                wanted.neighbours(self.lab.others(node)),
                "each with its node's MAC, NOARP, EXT_LEARNED",
            )

        for path in self._first_paths():  # one after the other, on a quiet network
            endpoint = self.lab.endpoints[path.source]
            result = endpoint.flow(path.to, "udp", 0.005, 20, linger=0.5).flow()
            if result.median_us is not None:
                self.steady_us.append(result.median_us)

    def unknown_addresses(self) -> None:
        """Addresses in no node's PodCIDR: refused at once, never resolved."""
        for number, node in enumerate(self.lab.members):
            view = self.lab.view(node)
            listener = MissListener(self.lab, node)
            before = view.neighbours()
            for index, pod in enumerate(node.pods):
                to = UNKNOWN_ADDRESS.format(10 * number + index + 1)
                self._refused_to_pod(pod.name, to)
            address = UNKNOWN_ADDRESS.format(10 * number + 9)
            endpoint = self.lab.endpoints[node.name]
            errors = {
                kind: [endpoint.refusal(address, kind, 1)[0] for _ in range(REFUSED_ATTEMPTS)]
                for kind in ("tcp", "udp")
            }
            refused = ["EHOSTUNREACH"] * REFUSED_ATTEMPTS
            self.report.equal(
                f"{node.name}: {address} refused every time",
                errors,
                {"tcp": refused, "udp": refused},
            )
            self.report.equal(
                f"{node.name}: no neighbour appears for refused addresses",
                (view.neighbours(), listener.heard().missed),
                (before, []),
            )

    def _refused_to_pod(self, pod: str, address: str) -> None:
        error, after_ms = self.lab.endpoints[pod].refusal(address, "udp", 1)
        self.report.require(
            f"{pod}: {address} refused within {REFUSED_WITHIN_MS} ms",
            error == "EHOSTUNREACH" and after_ms <= REFUSED_WITHIN_MS,
            f"{error} after {after_ms:.1f} ms",
            f"EHOSTUNREACH within {REFUSED_WITHIN_MS} ms",
            f"after {after_ms:.1f} ms",
        )

    def join(self) -> None:
        """A fourth node joins."""
        node = self.lab.nodes["n4"]
        started = time.monotonic()
        self.lab.join(node)
        self._everyone_follows("join")
        self.report.figures["join_seconds"] = round(time.monotonic() - started, 3)
        self._reachable(node, "join")

    def change_address(self) -> None:
        """A node changes its address."""
        node = self.lab.nodes["n4"]
        old, new = node.address, node.address.replace("172.20.0.1", "172.20.0.2")
        # Otherwise the kernel would take the new address away with the old.
        run(node.host, ["sysctl", "-q", "-w", f"net.ipv4.conf.{node.uplink}.promote_secondaries=1"])
        configure(node.host, [f"addr add {new}/{UNDERLAY_PREFIX} dev {node.uplink}"])
        node.address = new
        self.lab.kube.change_address(node)
        self._everyone_follows("address change")
        self.report.eventually(
            "address change: n4's device follows", self.lab.view(node).device, wanted.device(node)
        )
        configure(node.host, [f"addr del {old}/{UNDERLAY_PREFIX} dev {node.uplink}"])
        self._reachable(node, "address change")

    def leave(self) -> None:
        """A node leaves."""
        node = self.lab.nodes["n4"]
        self.lab.leave(node)
        for member in self.lab.members:
            self._tables_follow(member, "leave: ")
            self.report.eventually(
                f"leave: {member.name}: its neighbours are gone",
                self.lab.view(member).neighbours,
                wanted.neighbours(self.lab.others(member)),
            )
            error, _ = self.lab.endpoints[member.name].refusal(node.pods[0].address, "tcp", 1)
            self.report.equal(f"leave: {member.name}: its pods are refused", error, "EHOSTUNREACH")

    def take_over(self) -> None:
        """Another node takes the PodCIDR of the one that left, whose machine still runs."""
        old, new = self.lab.nodes["n4"], self.lab.nodes["n5"]
        # From before the new one is there: whoever answers, it must never be the old one.
        flows = [
            self.lab.endpoints[member.pods[0].name].flow(
                new.pods[0].address, "udp", 0.02, linger=0.5
            )
            for member in self.lab.members
        ]
        self.lab.join(new)
        self._everyone_follows("take-over")
        self._reachable(new, "take-over")
        for flow in flows:
            flow.stop()
        answered = [flow.flow().who for flow in flows]
        self.report.equal(
            f"take-over: {new.pods[0].name} answers, never {old.pods[0].name}",
            answered,
            [[new.pods[0].name]] * len(flows),
        )

    def dead_agent(self) -> None:
        """An agent is killed: flows go on, and its successor finds nothing to do."""
        DeadAgent(self.lab, self.report, self.dead_for, self.crowd).run()

    def terminate(self) -> None:
        """The agents are told to end: the data plane stays."""
        statuses = {name: agent.terminate() for name, agent in self.lab.agents.items()}
        self.report.equal("SIGTERM: exit status", statuses, {name: 0 for name in statuses})
        results = matrix.probe(self.lab, matrix.full(self.lab.members), 3)
        self.report.equal(
            "SIGTERM: no packet lost afterwards",
            matrix.faults(results),
            [],
            matrix.counted(results),
        )

    # ------------------------------------------------------------------------------ helpers

    def _tables_follow(self, node: LabNode, prefix: str = "") -> None:
        view, others = self.lab.view(node), self.lab.others(node)
        name = prefix + node.name
        self.report.eventually(f"{name}: FDB", view.fdb, wanted.fdb(others))
        self.report.eventually(f"{name}: routes", view.routes, wanted.routes(node, others))

    def _everyone_follows(self, event: str) -> None:
        for member in self.lab.members:
            self._tables_follow(member, f"{event}: ")

    def _reachable(self, node: LabNode, event: str) -> None:
        self.lab.await_ready(node)
        results = matrix.probe(self.lab, matrix.involving(node, self.lab.members), 5)
        self.report.equal(
            f"{event}: {node.name} and its pods reach and are reached",
            matrix.faults(results),
            [],
            matrix.counted(results),
        )

    def summary(self) -> None:
        """The matrix and the round-trip times."""
        self.report.line()
        self.report.heading("Connectivity (rows ask; UTI: UDP, TCP, ICMP without loss; x: lost)")
        for line in matrix.draw(self.matrix):
            self.report.line(line)
        self.report.line()
        for name, times in (("first packet", self.first_us), ("steady", self.steady_us)):
            if times:
                low, middle, high = min(times), statistics.median(times), max(times)
                text = f"min {low / 1000:.2f}, median {middle / 1000:.2f}, max {high / 1000:.2f} ms"
                self.report.line(f"round trip, {name:<12}: {text}")
                self.report.figures[f"{name} us".replace(" ", "_")] = [low, middle, high]

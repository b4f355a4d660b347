"""Who reaches whom: the paths of a lab, probed all at once, and drawn as a table."""

import dataclasses
from typing import Iterable

from lab.lab import Lab
from lab.probes import PROTOCOLS, FlowResult
from lab.topology import LabNode, Pod


@dataclasses.dataclass(frozen=True)
class Path:
    """One direction: who asks, whom, and how the one who answers must see it."""

    source: str  # endpoint
    target: str  # endpoint that must answer
    to: str  # address
    seen_as: str  # source address that the target must see

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} ({self.to})"


def pod_to_pod(source: Pod, target: Pod) -> Path:
    """Never masqueraded."""
    return Path(source.name, target.name, target.address, source.address)


def node_to_pod(source: LabNode, target: Pod) -> Path:
    """Through the tunnel a node speaks as its base address, to its own pods as their gateway."""
    if target.node is source:
        return Path(source.name, target.name, target.address, source.gateway)
    return Path(source.name, target.name, target.address, source.base)


def node_to_base(source: LabNode, target: LabNode) -> Path:
    return Path(source.name, target.name, target.base, source.base)


def pod_to_node(source: Pod, target: LabNode) -> Path:
    """By the underlay, masqueraded as the pod's own node."""
    return Path(source.name, target.name, target.address, source.node.address)


def full(nodes: list[LabNode]) -> list[Path]:
    """Pod to pod, node to pod, pod to remote node: every pair of `nodes`, both directions."""
    pods = [pod for node in nodes for pod in node.pods]
    paths = [pod_to_pod(a, b) for a in pods for b in pods if a is not b]
    paths += [node_to_pod(node, pod) for node in nodes for pod in pods]
    paths += [pod_to_node(pod, node) for pod in pods for node in nodes if pod.node is not node]
    return paths


def involving(node: LabNode, nodes: list[LabNode]) -> list[Path]:
    """Those of full(nodes) that begin or end at `node` or its pods, and cross the network."""
    own = {node.name} | {pod.name for pod in node.pods}
    return [path for path in full(nodes) if (path.source in own) != (path.target in own)]


Results = dict[tuple[Path, str], FlowResult]


def probe(lab: Lab, paths: Iterable[Path], count: int, interval: float = 0.02) -> Results:
    """Sends `count` messages on every path by every protocol, all at the same time."""
    calls = {
        (path, kind): lab.endpoints[path.source].flow(path.to, kind, interval, count)
        for path in paths
        for kind in PROTOCOLS
    }
    return {key: call.flow() for key, call in calls.items()}


def faults(results: Results) -> list[str]:
    """What is wrong, one text a flow: a loss, the wrong one answered, a wrong source was seen."""
    found = []
    for (path, kind), result in results.items():
        if not result.lossless:
            found.append(f"{path} {kind}: {result}")
        elif kind != "icmp" and result.who != [path.target]:
            found.append(f"{path} {kind}: answered by {result.who}")
        elif kind != "icmp" and result.sources != [path.seen_as]:
            found.append(f"{path} {kind}: seen as {result.sources}, not {path.seen_as}")
    return found


def counted(results: Results) -> str:
    sent = sum(result.sent for result in results.values())
    received = sum(result.received for result in results.values())
    paths = len({path for path, _ in results})
    return f"{received} of {sent} messages answered on {paths} paths by UDP, TCP and ICMP"


def draw(results: Results) -> list[str]:
    """Rows ask, columns answer; U, T, I: UDP, TCP, ICMP without loss; x: lost."""
    sources = list(dict.fromkeys(path.source for path, _ in results))
    targets = sorted({path.target for path, _ in results})
    by_name = {(path.source, path.target): path for path, _ in results}

    def cell(source: str, target: str) -> str:
        path = by_name.get((source, target))
        if path is None:
            return "."
        return "".join(
            kind[0].upper() if results[path, kind].lossless else "x" for kind in PROTOCOLS
        )

    lines = ["      " + "".join(f"{target:>5}" for target in targets)]
    for source in sorted(sources):
        lines.append(f"{source:>5} " + "".join(f"{cell(source, t):>5}" for t in targets))
    return lines

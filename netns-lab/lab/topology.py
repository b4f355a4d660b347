"""What a lab is made of: an underlay, nodes with their pods, and the API host, on Mininet.

    underlay (Linux bridge, 172.20.0.0/24)
      +- api  172.20.0.2
      +- n1   172.20.0.11  cbr0 100.96.1.1/24
      |        +- p11 100.96.1.2    +- p12 100.96.1.3
      +- n2   172.20.0.12  ...
"""

import dataclasses
import ipaddress
from typing import Iterator

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Node, Switch

from lab.processes import run

OVERLAY = "100.96.0.0/12"
UNDERLAY_PREFIX = 24
LAB_ADDRESS = "172.20.0.1"  # the lab's own, on the underlay bridge
API_ADDRESS = "172.20.0.2"
UNDERLAY_MTU = 1500
OVERLAY_MTU = UNDERLAY_MTU - 50  # VXLAN over IPv4


class Host(Node):
    """A namespace that the lab configures itself."""

    def configDefault(self, **_params: object) -> None:  # noqa: N802 (Mininet's name)
        """Mininet would give it an address of its own choice, one ifconfig at a time."""


class Underlay(Switch):
    """A Linux bridge; Mininet's own one wants bridge-utils."""

    def start(self, _controllers: list[object]) -> None:
        ports = [name for name in self.intfNames() if name != "lo"]
        lines = [f"link add {self.name} type bridge", f"link set {self.name} up"]
        lines += [f"link set {port} master {self.name} up" for port in ports]
        lines += [f"addr add {LAB_ADDRESS}/{UNDERLAY_PREFIX} dev {self.name}", "link set lo up"]
        configure(self, lines)


def configure(node: Node, lines: list[str]) -> None:
    """Runs iproute2 commands as one batch; raises LabError at the first that fails."""
    run(node, ["ip", "-batch", "-"], "\n".join(lines) + "\n")


def quieten(node: Node) -> None:
    """No IPv6: its multicast neighbours would only fill the host's neighbour table."""
    settings = [f"net.ipv6.conf.{name}.disable_ipv6=1" for name in ("all", "default")]
    run(node, ["sysctl", "-q", "-w"] + settings)


@dataclasses.dataclass(frozen=True)
class NodeSpec:
    """A node to build; its PodCIDR is a /24."""

    name: str
    pod_cidr: str
    pods: int


@dataclasses.dataclass
class Pod:
    name: str
    address: str
    node: "LabNode"
    host: Node


@dataclasses.dataclass
class LabNode:
    """A node as it is now; `address` changes when the node's does."""

    name: str
    address: str
    pod_cidr: str
    host: Node
    pods: list[Pod] = dataclasses.field(default_factory=list)

    @property
    def uplink(self) -> str:
        return f"{self.name}-eth0"

    @property
    def base(self) -> str:
        """The overlay's address of the node itself: the lowest of its PodCIDR."""
        return str(ipaddress.ip_network(self.pod_cidr).network_address)

    @property
    def gateway(self) -> str:
        """The address of cbr0, which its pods route by."""
        return str(ipaddress.ip_address(self.base) + 1)

    @property
    def mac(self) -> str:
        """The MAC of its vxlan device: 00:53 and the four bytes of the base address."""
        return (bytes([0x00, 0x53]) + ipaddress.ip_address(self.base).packed).hex(":")

    @property
    def overlay_addresses(self) -> list[str]:
        """Every address that others resolve to this node."""
        return [self.base] + [pod.address for pod in self.pods]


class Topology:
    """Namespaces, links and addresses; nothing of vxmesh runs yet. Must be inside run_isolated."""

    def __init__(self, specs: list[NodeSpec]) -> None:
        """The nodes have addresses from 172.20.0.11 on."""
        setLogLevel("error")
        # Otherwise Mininet raises sysctls of the whole host and never restores them.
        Mininet.inited = True
        self.net = Mininet(topo=None, controller=None, host=Host, switch=Underlay, build=False)
        self.underlay = self.net.addSwitch("underlay", dpid="1")
        self.api = self.net.addHost("api")
        quieten(self.underlay)
        quieten(self.api)
        self.net.addLink(self.underlay, self.api)
        self.nodes: dict[str, LabNode] = {}
        for number, spec in enumerate(specs, start=11):
            host = self.net.addHost(spec.name)
            node = LabNode(spec.name, f"172.20.0.{number}", spec.pod_cidr, host)
            self.net.addLink(node.host, self.underlay)
            for index in range(1, spec.pods + 1):
                self._add_pod(node, index)
            self.nodes[spec.name] = node
        self.net.build()
        self.net.start()
        configure(
            self.api,
            [
                "link set lo up",
                f"addr add {API_ADDRESS}/{UNDERLAY_PREFIX} dev api-eth0",
                "link set api-eth0 up",
            ],
        )
        for node in self.nodes.values():
            self._configure_node(node)

    def _add_pod(self, node: LabNode, index: int) -> None:
        name = node.name.replace("n", "p", 1) + str(index)
        address = ipaddress.ip_network(node.pod_cidr).network_address + 1 + index
        pod = Pod(name, str(address), node, self.net.addHost(name))
        quieten(pod.host)
        self.net.addLink(pod.host, node.host)
        node.pods.append(pod)

    def _configure_node(self, node: LabNode) -> None:
        """As kubelet and the bridge plugin would leave it."""
        ports = [name for name in node.host.intfNames() if name != node.uplink]
        lines = [
            "link set lo up",
            f"addr add {node.address}/{UNDERLAY_PREFIX} dev {node.uplink}",
            f"link set {node.uplink} up",
            f"link add cbr0 mtu {OVERLAY_MTU} type bridge",
            f"addr add {node.gateway}/24 dev cbr0",
        ]
        lines += [f"link set {port} mtu {OVERLAY_MTU} master cbr0 up" for port in ports]
        lines += ["link set cbr0 up", f"route add default via {LAB_ADDRESS}"]
        configure(node.host, lines)
        run(node.host, ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
        for pod in node.pods:
            device = f"{pod.name}-eth0"
            configure(
                pod.host,
                [
                    "link set lo up",
                    f"addr add {pod.address}/24 dev {device}",
                    f"link set {device} mtu {OVERLAY_MTU} up",
                    f"route add default via {node.gateway}",
                ],
            )

    def hosts(self) -> Iterator[Node]:
        """Every namespace that runs an endpoint: nodes and pods."""
        for node in self.nodes.values():
            yield node.host
            for pod in node.pods:
                yield pod.host

    def stop(self) -> None:
        self.net.stop()

"""What a node's kernel must hold, said independently of the code that makes it so."""

from typing import Any

from lab.kernel import DEVICE, GROUP, PROTOCOL, FdbEntry, Neighbour, Route
from lab.topology import OVERLAY, OVERLAY_MTU, LabNode

VNI = 1
PORT = 4789
LAST_METRIC = 4294967295


def device(node: LabNode) -> dict[str, Any]:
    return {
        "kind": "vxlan",
        "mac": node.mac,
        "vni": VNI,
        "port": PORT,
        "local": node.address,
        "learning": False,
        "mtu": OVERLAY_MTU,
        "group": GROUP,
        "up": True,
    }


def addresses(node: LabNode) -> list[dict[str, Any]]:
    """The base address with the overlay's mask, and without the route that would come with it."""
    mask = OVERLAY.split("/")[1]
    return [{"address": f"{node.base}/{mask}", "scope": "global", "noprefixroute": True}]


def routes(node: LabNode, others: list[LabNode]) -> list[Route]:
    refusing = [
        Route(prefix, "unreachable", "", "global", PROTOCOL, LAST_METRIC)
        for prefix in (OVERLAY, node.pod_cidr)
    ]
    return sorted(refusing + [route_to(other) for other in others])


def route_to(other: LabNode) -> Route:
    return Route(other.pod_cidr, "unicast", DEVICE, "link", PROTOCOL)


def fdb(others: list[LabNode]) -> list[FdbEntry]:
    return sorted(fdb_entry(other) for other in others)


def fdb_entry(other: LabNode) -> FdbEntry:
    return FdbEntry(other.mac, other.address, ("self",), "permanent")


def neighbours(others: list[LabNode]) -> list[Neighbour]:
    """Once every address of every other node has been asked for."""
    return sorted(
        Neighbour(address, other.mac, ("NOARP",), True, PROTOCOL)
        for other in others
        for address in other.overlay_addresses
    )


def neighbour_parameters() -> dict[str, Any]:
    """Only the agent is ever asked: no ARP enters the tunnel."""
    return {"ucast_solicit": 0, "mcast_solicit": 0, "mcast_resolicit": 0, "asks the agent": True}

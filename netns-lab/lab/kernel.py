"""What the kernel of one node holds, read through iproute2: independent of the agent's own code."""

import dataclasses
import ipaddress
import json
from typing import Any

from mininet.node import Node

from lab.processes import run

DEVICE = "vxlan1"
PROTOCOL = "118"  # vxmesh's mark on routes and neighbours
GROUP = str(0x76786D)  # vxmesh's mark on its device


@dataclasses.dataclass(frozen=True, order=True)
class Route:
    destination: str
    kind: str = "unicast"
    device: str = ""
    scope: str = ""
    protocol: str = ""
    metric: int = 0


@dataclasses.dataclass(frozen=True, order=True)
class FdbEntry:
    mac: str
    destination: str
    flags: tuple[str, ...]
    state: str


@dataclasses.dataclass(frozen=True, order=True)
class Neighbour:
    address: str
    lladdr: str
    state: tuple[str, ...]
    extern_learn: bool
    protocol: str


class KernelView:
    """Reads one node's tables; each call is a fresh look. Without a device they are empty."""

    def __init__(self, host: Node) -> None:
        self._host = host

    def _json(self, *command: str) -> list[dict[str, Any]]:
        return json.loads(run(self._host, list(command)) or "[]")

    def links(self) -> dict[str, dict[str, Any]]:
        return {link["ifname"]: link for link in self._json("ip", "-j", "-d", "link", "show")}

    def device(self) -> dict[str, Any]:
        """The vxlan device's properties that the overlay depends on; empty if there is none."""
        link = self.links().get(DEVICE)
        if link is None:
            return {}
        info = link.get("linkinfo", {})
        data = info.get("info_data", {})
        return {
            "kind": info.get("info_kind"),
            "mac": link["address"],
            "vni": data.get("id"),
            "port": data.get("port"),
            "local": data.get("local"),
            "learning": data.get("learning"),
            "mtu": link["mtu"],
            "group": str(link.get("group")),
            "up": "UP" in link["flags"],
        }

    def ifindex(self) -> int:
        return int(self.links()[DEVICE]["ifindex"])

    def addresses(self) -> list[dict[str, Any]]:
        """The device's IPv4 addresses."""
        links = self._json("ip", "-j", "addr", "show")
        device = [link for link in links if link.get("ifname") == DEVICE]
        return [
            {
                "address": f"{info['local']}/{info['prefixlen']}",
                "scope": info["scope"],
                "noprefixroute": bool(info.get("noprefixroute")),
            }
            for link in device
            for info in link["addr_info"]
            if info["family"] == "inet"
        ]

    def routes(self) -> list[Route]:
        """The main table's routes on the device, the refusing ones, and all with our mark."""
        routes = [
            Route(
                destination=route["dst"],
                kind=route.get("type", "unicast"),
                device=route.get("dev", ""),
                scope=route.get("scope", "global"),
                protocol=route.get("protocol", ""),
                metric=route.get("metric", 0),
            )
            for route in self._json("ip", "-j", "-d", "route", "show", "table", "main")
        ]
        return sorted(
            route
            for route in routes
            if route.device == DEVICE or route.kind != "unicast" or route.protocol == PROTOCOL
        )

    def fdb(self) -> list[FdbEntry]:
        return sorted(
            FdbEntry(
                mac=entry["mac"],
                destination=entry.get("dst", ""),
                flags=tuple(entry.get("flags", [])),
                state=entry.get("state", ""),
            )
            for entry in self._json("bridge", "-j", "fdb", "show")
            if entry["ifname"] == DEVICE
        )

    def neighbours(self) -> list[Neighbour]:
        """The device's IPv4 neighbours in every state, but for the kernel's multicast ones."""
        entries = self._json("ip", "-4", "-j", "neigh", "show", "nud", "all")
        return sorted(
            Neighbour(
                address=entry["dst"],
                lladdr=entry.get("lladdr", ""),
                state=tuple(entry.get("state", [])),
                extern_learn="extern_learn" in entry,
                protocol=str(entry.get("protocol", "")),
            )
            for entry in entries
            if entry["dev"] == DEVICE and not ipaddress.ip_address(entry["dst"]).is_multicast
        )

    def neighbour_parameters(self) -> dict[str, int]:
        """How the kernel would resolve on the device: whom it asks, and how often."""
        folder = f"/proc/sys/net/ipv4/neigh/{DEVICE}/"
        names = ["app_solicit", "ucast_solicit", "mcast_solicit", "mcast_resolicit"]
        values = run(self._host, ["cat"] + [folder + name for name in names])
        return dict(zip(names, map(int, values.split())))

    def transmitted(self) -> int:
        """Packets that left through the device."""
        links = self._json("ip", "-j", "-s", "link", "show", "dev", DEVICE)
        return int(links[0]["stats64"]["tx"]["packets"])

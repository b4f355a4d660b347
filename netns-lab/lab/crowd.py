"""Neighbours enough for the kernel's periodic garbage collection to begin, on the whole host."""

import contextlib
import json
from typing import Iterator

from mininet.node import Node

from lab.errors import MissingCapability
from lab.processes import run
from lab.topology import configure

MORE_THAN_THRESHOLD = 72
LARGEST_THRESHOLD = 1024  # above it a crowd would be a burden on the host


def gc_thresh1(host: Node) -> int:
    """Below so many neighbours, of all namespaces together, none is collected (RTM_GETNEIGHTBL)."""
    tables = json.loads(run(host, ["ip", "-j", "ntable", "show", "name", "arp_cache"]))
    return next(int(table["thresh1"]) for table in tables if "thresh1" in table)


def require_crowd(host: Node) -> int:
    """How many neighbours a crowd is; raises MissingCapability if that would be too many."""
    threshold = gc_thresh1(host)
    if threshold > LARGEST_THRESHOLD:
        raise MissingCapability(f"gc_thresh1 is {threshold}, above {LARGEST_THRESHOLD}")
    return threshold + MORE_THAN_THRESHOLD


@contextlib.contextmanager
def crowded(host: Node) -> Iterator[None]:
    """Holds a crowd of neighbours. They are permanent: they count, and are never collected."""
    count = require_crowd(host)
    configure(host, ["link add crowd type bridge", "link set crowd up"])
    addresses = [f"10.99.{number // 250}.{number % 250 + 1}" for number in range(count)]
    entry = "neigh add {} lladdr 02:00:00:00:00:01 nud permanent dev crowd"
    configure(host, [entry.format(address) for address in addresses])
    try:
        yield
    finally:
        configure(host, ["link del crowd"])

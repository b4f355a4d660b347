"""What a lab needs from this machine, and whether it is there."""

import importlib.util
import os
import shutil
import subprocess
from typing import Callable

from lab.errors import MissingCapability

TOOLS = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "nft": "nftables",
    "sysctl": "procps",
    "strace": "strace",
    "mnexec": "mininet",
    "ifconfig": "net-tools",
}


def require_tools() -> None:
    """Raises MissingCapability naming everything that is not installed."""
    missing = [f"{tool} ({package})" for tool, package in TOOLS.items() if not shutil.which(tool)]
    if importlib.util.find_spec("mininet") is None:
        missing.append("python3's module mininet (mininet)")
    if missing:
        raise MissingCapability("not installed: " + ", ".join(missing))


def _succeeds(*command: str, stdin: str = "") -> bool:
    completed = subprocess.run(
        command, input=stdin, text=True, capture_output=True, check=False, timeout=20
    )
    return completed.returncode == 0


NAT_RULES = """
table inet doctor {
  chain postrouting {
    type nat hook postrouting priority srcnat
    masquerade fully-random
  }
}
"""

# Inside private namespaces, in this order; each says whether it worked.
KERNEL: dict[str, Callable[[], bool]] = {
    "bridge": lambda: _succeeds("ip", "link", "add", "probe0", "type", "bridge"),
    "veth": lambda: _succeeds("ip", "link", "add", "probe1", "type", "veth"),
    "vxlan": lambda: _succeeds(
        "ip", "link", "add", "probe2", "type", "vxlan", "id", "1", "dstport", "4789"
    ),
    "nft masquerade": lambda: _succeeds("nft", "-f", "-", stdin=NAT_RULES),
    "ptrace": lambda: _succeeds("strace", "-o", "/dev/null", "true"),
}

# What later kinds of faults want; a lab works without.
OPTIONAL_KERNEL: dict[str, Callable[[], bool]] = {
    "netem": lambda: _succeeds("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"),
    "dummy": lambda: _succeeds("ip", "link", "add", "probe3", "type", "dummy"),
}


def doctor(_pid_outside: int) -> int:
    """Prints what is there, one line each; 4 if something that a lab needs is missing.

    Must be inside run_isolated.
    """
    print("ok       root, private namespaces")
    missing = 0
    for name, works in (KERNEL | OPTIONAL_KERNEL).items():
        there = works()
        optional = name in OPTIONAL_KERNEL
        missing += not there and not optional
        print(f"{'ok      ' if there else 'missing '} {name}{' (optional)' if optional else ''}")
    print(f"kernel   {os.uname().release}")
    return 4 if missing else 0

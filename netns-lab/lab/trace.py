"""What a program asked of the kernel's routing tables, read from strace's output."""

import dataclasses
import pathlib
import re

# A netlink socket as `strace -yy` names it: with its protocol once it is bound, without before.
ROUTE_SOCKET = re.compile(r"\(\d+<NETLINK:\[(ROUTE:)?\d+\]>")
MESSAGE_TYPE = re.compile(r"nlmsg_type=(\w+)")
READ = re.compile(r"RTM_GET\w+|NLMSG_\w+")

# On a socket that is not bound yet strace knows no names, only numbers: RTM_* begin at 16 in
# groups of four, of which the third only reads; other protocols' begin at 0x100 or are control
# messages below 16 (linux/rtnetlink.h, linux/netfilter/nfnetlink.h).
RTM_BASE, RTM_GET, OTHER_PROTOCOLS = 16, 2, 0x100


@dataclasses.dataclass(frozen=True)
class NetlinkTrace:
    """Message types in the order in which they were sent."""

    reads: list[str]
    writes: list[str]  # RTM_NEW*, RTM_DEL*, RTM_SET*, and whatever is not understood


def _only_reads(name: str) -> bool:
    if not name.startswith("0x"):
        return READ.fullmatch(name) is not None
    number = int(name, 16)
    if number < RTM_BASE or number >= OTHER_PROTOCOLS:
        return True
    return number % 4 == RTM_GET


def parse_trace(text: str) -> NetlinkTrace:
    reads: list[str] = []
    writes: list[str] = []
    for line in text.splitlines():
        if not ROUTE_SOCKET.search(line):
            continue
        for name in MESSAGE_TYPE.findall(line) or [f"not understood: {line}"]:
            (reads if _only_reads(name) else writes).append(name)
    return NetlinkTrace(reads, writes)


def read_trace(path: pathlib.Path) -> NetlinkTrace:
    return parse_trace(path.read_text(errors="replace"))

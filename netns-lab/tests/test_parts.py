"""The parts that judge: each must be able to say no."""

import io
import os

import pytest

from lab import crowd, isolation, wanted
from lab.errors import MissingCapability
from lab.kernel import FdbEntry, Route
from lab.matrix import Path, draw, faults
from lab.misses import answer_times
from lab.probes import FlowResult
from lab.report import Report
from lab.topology import LabNode
from lab.trace import parse_trace


def node(name: str = "n2", number: int = 2) -> LabNode:
    return LabNode(name, f"172.20.0.1{number}", f"100.96.{number}.0/24", host=None)


def flow(**changes: object) -> FlowResult:
    values = {
        "sent": 3,
        "received": 3,
        "lost": [],
        "first_us": 1.0,
        "median_us": 1.0,
        "max_us": 1.0,
        "who": ["p21"],
        "sources": ["100.96.1.2"],
        "errors": {},
        "connect_us": 0.0,
        "syn_retransmissions": 0,
        "retransmissions": 0,
    }
    return FlowResult(**(values | changes))


PATH = Path("p11", "p21", "100.96.2.2", "100.96.1.2")


def test_what_is_wanted_of_a_node() -> None:
    assert node().mac == "00:53:64:60:02:00"
    assert wanted.fdb([node()]) == [
        FdbEntry("00:53:64:60:02:00", "172.20.0.12", ("self",), "permanent")
    ]
    assert wanted.routes(node("n1", 1), [node()]) == [
        Route("100.96.0.0/12", "unreachable", "", "global", "118", 4294967295),
        Route("100.96.1.0/24", "unreachable", "", "global", "118", 4294967295),
        Route("100.96.2.0/24", "unicast", "vxlan1", "link", "118", 0),
    ]


@pytest.mark.parametrize(
    "result, text",
    [
        (flow(received=2, lost=[1]), "2/3 lost [1]"),
        (flow(sent=0, received=0), "0/0"),
        (flow(syn_retransmissions=1), "1 SYN lost"),
        (flow(who=["p31"]), "answered by ['p31']"),
        (flow(who=["p21", "p31"]), "answered by ['p21', 'p31']"),
        (flow(sources=["172.20.0.11"]), "seen as ['172.20.0.11'], not 100.96.1.2"),
    ],
)
def test_a_flow_that_is_not_right_is_a_fault(result: FlowResult, text: str) -> None:
    assert text in faults({(PATH, "tcp"): result})[0]


def test_a_right_flow_is_no_fault() -> None:
    assert faults({(PATH, "udp"): flow(), (PATH, "icmp"): flow(who=[], sources=[])}) == []


def test_a_lost_protocol_shows_in_the_drawing() -> None:
    results = {(PATH, "udp"): flow(), (PATH, "tcp"): flow(received=0), (PATH, "icmp"): flow()}
    assert draw(results)[1].split() == ["p11", "UxI"]


def traced(socket: str, *types: str) -> str:
    messages = ", ".join(f"{{nlmsg_len=44, nlmsg_type={name}, nlmsg_flags=0}}" for name in types)
    return f"17 sendmsg(3<{socket}>, {{msg_iov=[{{iov_base=[{messages}]}}]}}, 0) = 44\n"


@pytest.mark.parametrize(
    "line, reads, writes",
    [
        (traced("NETLINK:[ROUTE:17]", "RTM_GETLINK"), ["RTM_GETLINK"], []),
        (traced("NETLINK:[ROUTE:17]", "RTM_NEWROUTE"), [], ["RTM_NEWROUTE"]),
        (traced("NETLINK:[ROUTE:17]", "RTM_SETNEIGHTBL"), [], ["RTM_SETNEIGHTBL"]),
        (
            traced("NETLINK:[ROUTE:17]", "RTM_GETNEIGH", "RTM_DELNEIGH"),
            ["RTM_GETNEIGH"],
            ["RTM_DELNEIGH"],
        ),
        (traced("NETLINK:[17]", "0x12 /* NLMSG_??? */"), ["0x12"], []),  # RTM_GETLINK
        (traced("NETLINK:[17]", "0x18 /* NLMSG_??? */"), [], ["0x18"]),  # RTM_NEWROUTE
        (traced("NETLINK:[17]", "0xa10 /* NLMSG_??? */"), ["0xa10"], []),  # nftables
        (traced("NETLINK:[NETFILTER:17]", "NFNL_SUBSYS_NFTABLES<<8|NFT_MSG_NEWRULE"), [], []),
        ('17 write(3</run/x>, "nlmsg_type=RTM_NEWROUTE", 4) = 4\n', [], []),
    ],
)
def test_a_trace_tells_reads_from_writes(line: str, reads: list[str], writes: list[str]) -> None:
    trace = parse_trace(line)
    assert (trace.reads, trace.writes) == (reads, writes)


def test_a_message_that_is_not_understood_counts_as_a_write() -> None:
    trace = parse_trace('17 write(3<NETLINK:[ROUTE:17]>, ",\\0\\0\\0", 44) = 44\n')
    assert len(trace.writes) == 1


def event(kind: str, at: float, state: int = 0) -> dict[str, object]:
    return {"kind": kind, "at": at, "state": state, "address": "100.96.2.2"}


def test_only_a_noarp_neighbour_after_a_miss_is_an_answer() -> None:
    assert answer_times([event("new", 1.0, 0x40)]) == {}
    assert answer_times([event("miss", 1.0), event("new", 1.1, 0x20)]) == {}
    events = [event("miss", 1.0), event("new", 1.5, 0x40), event("new", 2.0, 0x40)]
    assert answer_times(events) == {"100.96.2.2": 500000.0}


def test_a_report_counts_and_explains_failures() -> None:
    output = io.StringIO()
    report = Report(output)
    assert report.equal("right", 1, 1)
    assert not report.eventually("wrong", lambda: 1, 2, within=0)
    assert report.verdict("demo") == "demo: 1 checks passed, 1 failed"
    assert "FAIL wrong" in output.getvalue()
    assert "was there: 1\n       wanted:    2" in output.getvalue()


def test_eventually_waits_for_what_comes() -> None:
    values = iter([1, 2, 3])
    assert Report(io.StringIO()).eventually("comes", lambda: next(values), 3, within=10)


def test_without_root_the_missing_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingCapability, match="CAP_SYS_ADMIN"):
        isolation.run_isolated(lambda _: 0)


def test_a_crowd_is_refused_where_it_would_be_a_burden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "gc_thresh1", lambda host: 1024)
    assert crowd.require_crowd(host=None) == 1096
    monkeypatch.setattr(crowd, "gc_thresh1", lambda host: 1025)
    with pytest.raises(MissingCapability, match="1025"):
        crowd.require_crowd(host=None)

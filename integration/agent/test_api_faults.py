"""Whatever the API server does: what was right stays, and what is new arrives once it answers."""

import pytest

import world as w

FDB = {"00:53:64:60:02:00": "172.20.0.12", "00:53:64:60:03:00": "172.20.0.13"}

AT_START = [
    {"kind": "split", "size": 1, "count": 2},
    {"kind": "split", "size": 7, "count": 2},
    {"kind": "drop", "target": "list", "after_bytes": 200},
    {"kind": "drop", "target": "list", "after_bytes": 200, "reset": True},
    {"kind": "drop", "target": "watch", "reset": True},
    {"kind": "gone", "target": "watch", "as": "http"},
    {"kind": "gone", "target": "watch", "as": "event"},
    {"kind": "throttle", "target": "list", "retry_after": "1"},
    {"kind": "throttle", "target": "list", "retry_after": "-5"},
    {"kind": "throttle", "target": "watch"},
    {"kind": "error", "target": "list", "status": 503},
    {"kind": "error", "target": "watch", "status": 500, "as": "event"},
    {"kind": "error", "target": "list", "status": 401, "reason": "Unauthorized"},
    {"kind": "empty-list", "target": "list"},
]

WHILE_WATCHING = [
    {"kind": "drop", "target": "watch", "open": True},
    {"kind": "drop", "target": "watch", "open": True, "reset": True},
    {"kind": "gone", "target": "watch", "open": True, "as": "event"},
    {"kind": "error", "target": "watch", "open": True, "status": 500, "as": "event"},
]


def describe(fault):
    return "-".join(str(value) for value in fault.values())


def watching(world, agent):
    agent.until(lambda: world.api.state()["open_watches"] == 1, "an open watch")


@pytest.mark.parametrize("fault", AT_START, ids=describe)
def test_a_fault_at_the_start_only_delays(cluster, fault):
    cluster.api.json("POST", "/control/faults", fault)
    agent = cluster.agent()
    assert w.fdb() == FDB
    watching(cluster, agent)
    cluster.api.add("n4", "100.96.4.0/24", "172.20.0.14")
    agent.until(lambda: "100.96.4.0/24" in w.routes(), "a node that came after it")


@pytest.mark.parametrize("fault", WHILE_WATCHING, ids=describe)
def test_a_watch_that_fails_loses_nothing(cluster, fault):
    agent = cluster.agent()
    watching(cluster, agent)
    before = agent.metric("vxmesh_operations_total", result="done")
    cluster.api.json("POST", "/control/faults", fault)
    cluster.api.add("n4", "100.96.4.0/24", "172.20.0.14")
    agent.until(lambda: "100.96.4.0/24" in w.routes(), "a node that came meanwhile")
    assert agent.metric("vxmesh_operations_total", result="done") == before + 2  # FDB entry, route


def test_compaction_leads_to_a_list_and_no_write(cluster):
    agent = cluster.agent()
    watching(cluster, agent)
    before = agent.metric("vxmesh_operations_total", result="done")
    lists = cluster.api.state()["requests"]["list"]
    cluster.api.json("POST", "/control/compact", {})
    cluster.api.json("POST", "/control/faults",
                     {"kind": "gone", "target": "watch", "open": True, "as": "event"})
    agent.until(lambda: cluster.api.state()["requests"]["list"] > lists, "a relist")
    watching(cluster, agent)
    assert agent.metric("vxmesh_operations_total", result="done") == before
    assert w.fdb() == FDB


def test_a_node_that_left_during_an_outage_goes_after_it(cluster):
    agent = cluster.agent()
    watching(cluster, agent)
    cluster.api.json("POST", "/control/faults",
                     {"kind": "error", "target": "any", "status": 503, "count": 0})
    cluster.api.json("POST", "/control/faults", {"kind": "drop", "open": True})
    cluster.api.delete("n2")
    cluster.api.json("POST", "/control/compact", {})
    agent.until(lambda: agent.metric("vxmesh_api_connected") == 0, "the outage noticed")
    assert w.fdb() == FDB
    cluster.api.json("DELETE", "/control/faults")
    agent.until(lambda: w.fdb() == {"00:53:64:60:03:00": "172.20.0.13"}, "n2 gone")
    assert w.routes() == {"100.96.3.0/24"}


@pytest.mark.parametrize("fault", [{"kind": "empty-list", "target": "list", "count": 0}])
def test_an_empty_list_is_not_believed(cluster, fault):
    agent = cluster.agent()
    watching(cluster, agent)
    w.send("100.96.2.2")
    agent.until(lambda: "100.96.2.2" in w.neighbours(), "a neighbour")
    cluster.api.json("POST", "/control/faults", fault)
    cluster.api.json("POST", "/control/faults",
                     {"kind": "gone", "target": "watch", "open": True, "as": "event"})
    agent.until(lambda: "degraded" in agent.readyz()[1], "Degraded")
    assert w.fdb() == FDB and "100.96.2.2" in w.neighbours()
    w.send("100.96.3.3")  # misses are answered all the same
    agent.until(lambda: "100.96.3.3" in w.neighbours(), "another neighbour")
    cluster.api.json("DELETE", "/control/faults")
    agent.until(lambda: agent.readyz()[0] == 200, "ready again")
    assert w.fdb() == FDB


def test_our_own_node_going_keeps_everything(cluster):
    agent = cluster.agent()
    watching(cluster, agent)
    cluster.api.delete("n1")
    agent.until(lambda: "own Node" in agent.readyz()[1], "a clear reason")
    assert w.device() is not None and w.fdb() == FDB
    before = agent.metric("vxmesh_operations_total", result="done")
    cluster.add_own_node()
    agent.until(lambda: agent.readyz()[0] == 200, "ready again")
    assert agent.metric("vxmesh_operations_total", result="done") == before


def test_our_own_node_with_another_pod_cidr_rebuilds_the_device(cluster):
    agent = cluster.agent()
    watching(cluster, agent)
    cluster.api.delete("n1")
    agent.until(lambda: "own Node" in agent.readyz()[1], "a clear reason")
    cluster.api.add("n1", "100.96.7.0/24", w.OWN_ADDRESS)
    agent.until(lambda: agent.readyz()[0] == 200, "ready again")
    assert w.device()["address"] == "00:53:64:60:07:00"
    assert w.fdb() == FDB
    assert w.routes() == {"100.96.2.0/24", "100.96.3.0/24"}
    assert w.refusals() == {(w.OVERLAY, 4294967295), ("100.96.7.0/24", 4294967295)}


def test_an_agent_without_its_node_waits_and_touches_nothing(world):
    world.api.add("n2", "100.96.2.0/24", "172.20.0.12")
    agent = world.start_agent()
    agent.until(lambda: "n1" in agent.readyz()[1], "a clear reason")
    assert w.device() is None
    world.add_own_node()
    agent.until(lambda: agent.readyz()[0] == 200, "ready")

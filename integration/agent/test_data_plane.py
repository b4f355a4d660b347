"""The agent programs what the nodes ask for, and only that."""

import world as w

FDB = {"00:53:64:60:02:00": "172.20.0.12", "00:53:64:60:03:00": "172.20.0.13"}
ROUTES = {"100.96.2.0/24", "100.96.3.0/24"}


def test_the_device_is_as_designed(cluster):
    cluster.agent()
    link = w.device()
    data = link["linkinfo"]["info_data"]
    assert link["address"] == "00:53:64:60:01:00"
    assert link["mtu"] == 1450
    assert (data["id"], data["port"], data["local"]) == (1, 4789, w.OWN_ADDRESS)
    assert data["learning"] is False
    address = link_addresses()
    assert address == [("100.96.1.0", 12, True)]
    assert w.fdb() == FDB
    assert w.routes() == ROUTES
    assert w.refusals() == {(w.OVERLAY, 4294967295), (w.OWN_POD_CIDR, 4294967295)}
    assert not w.neighbours()


def link_addresses():
    shown = w.rows("ip", "-4", "address", "show", "dev", "vxlan1")[0]["addr_info"]
    return [(row["local"], row["prefixlen"], row.get("noprefixroute", False)) for row in shown]


def test_a_miss_is_answered_on_demand(cluster):
    agent = cluster.agent()
    w.send("100.96.2.77")
    row = agent.until(lambda: w.neighbours().get("100.96.2.77"), "the neighbour")
    assert row["lladdr"] == w.mac_of("100.96.2.0/24")
    assert row["state"] == ["NOARP"]
    assert "extern_learn" in row
    assert agent.metric("vxmesh_misses_total", verdict="answered") == 1


def test_other_prefix_lengths_than_24(cluster):
    cluster.api.add("big", "100.97.0.0/20", "172.20.0.14")
    cluster.api.add("small", "100.98.0.64/27", "172.20.0.15")
    agent = cluster.agent()
    for address, pod_cidr in (("100.97.15.1", "100.97.0.0/20"), ("100.98.0.90", "100.98.0.64/27")):
        w.send(address)
        row = agent.until(lambda a=address: w.neighbours().get(a), address)
        assert row["lladdr"] == w.mac_of(pod_cidr)


def test_nodes_join_move_and_leave(cluster):
    agent = cluster.agent()
    cluster.api.add("n4", "100.96.4.0/24", "172.20.0.14")
    agent.until(lambda: "100.96.4.0/24" in w.routes(), "the route of n4")
    w.send("100.96.4.4")
    agent.until(lambda: "100.96.4.4" in w.neighbours(), "its neighbour")

    cluster.api.change_address("n4", "172.20.0.44")
    agent.until(lambda: w.fdb()["00:53:64:60:04:00"] == "172.20.0.44", "its new address")
    assert "100.96.4.4" in w.neighbours()

    cluster.api.delete("n4")
    agent.until(lambda: w.fdb() == FDB and w.routes() == ROUTES, "n4 gone")
    agent.until(lambda: "100.96.4.4" not in w.neighbours(), "its neighbour gone")


def test_another_node_takes_a_pod_cidr(cluster):
    agent = cluster.agent()
    w.send("100.96.2.2")
    agent.until(lambda: "100.96.2.2" in w.neighbours(), "the neighbour")
    cluster.api.delete("n2")
    cluster.api.add("n5", "100.96.2.0/24", "172.20.0.15")
    agent.until(lambda: w.fdb().get("00:53:64:60:02:00") == "172.20.0.15", "the new owner")
    assert "100.96.2.0/24" in w.routes()


def test_a_restart_and_a_resync_write_nothing(cluster):
    agent = cluster.agent()
    w.send("100.96.3.3")
    agent.until(lambda: "100.96.3.3" in w.neighbours(), "the neighbour")
    agent.process.kill()
    before = (w.device(), w.fdb(), w.routes(), w.neighbours())

    again = cluster.agent("--resync-interval", "1")
    again.until(lambda: again.metric("vxmesh_redumps_total") >= 3, "resyncs")
    assert again.metric("vxmesh_operations_total", result="done") == 0
    assert again.metric("vxmesh_operations_total", result="failed") == 0
    assert (w.device(), w.fdb(), w.routes(), w.neighbours()) == before


def test_what_was_left_by_an_earlier_cluster_goes(cluster):
    agent = cluster.agent()
    agent.process.kill()
    w.run("bridge", "fdb", "add", "00:53:64:60:09:00", "dev", "vxlan1", "dst", "172.20.0.19")
    w.ip("route", "add", "100.96.9.0/24", "dev", "vxlan1")
    w.ip("neigh", "add", "100.96.9.9", "lladdr", "00:53:64:60:09:00", "nud", "permanent",
         "dev", "vxlan1")
    w.ip("route", "add", "unreachable", "100.96.8.0/24", "proto", "118")
    w.ip("route", "add", "unreachable", "100.96.7.0/24")  # not ours
    cluster.agent()
    assert w.fdb() == FDB
    assert w.routes() == ROUTES
    assert not w.neighbours()
    assert w.refusals() == {(w.OVERLAY, 4294967295), (w.OWN_POD_CIDR, 4294967295),
                            ("100.96.7.0/24", 0)}


def test_eviction_keeps_the_budget(cluster):
    agent = cluster.agent("--max-neighbours", "16")
    for last in range(1, 41):
        w.send(f"100.96.2.{last}")
        agent.until(lambda a=f"100.96.2.{last}": a in w.neighbours(), f"neighbour {last}")
    assert len(w.neighbours()) <= 16
    assert "100.96.2.40" in w.neighbours()
    assert agent.metric("vxmesh_evictions_total") >= 24
    w.send("100.96.2.1")  # an evicted one costs one answered miss
    agent.until(lambda: "100.96.2.1" in w.neighbours(), "the evicted one")


def test_heartbeats_change_nothing(cluster):
    agent = cluster.agent()
    agent.until(lambda: cluster.api.state()["open_watches"] == 1, "an open watch")
    before = agent.metric("vxmesh_operations_total", result="done")
    plans = agent.metric("vxmesh_plans_total", scope="changed")
    stored = cluster.api.json("GET", "/api/v1/nodes/n2")
    del stored["metadata"]["resourceVersion"]
    for beat in range(50):
        stored["status"]["conditions"] = [{"type": "Ready", "lastHeartbeatTime": str(beat)}]
        cluster.api.json("PUT", "/api/v1/nodes/n2", stored)
    agent.until(lambda: agent.metric("vxmesh_node_events_total", effect="none") == 50, "50 beats")
    assert agent.metric("vxmesh_operations_total", result="done") == before
    assert agent.metric("vxmesh_plans_total", scope="changed") == plans


def test_the_underlay_mtu_is_followed(cluster):
    agent = cluster.agent()
    w.ip("link", "set", "underlay", "mtu", "1400")
    agent.until(lambda: w.device()["mtu"] == 1350, "the device's MTU")


def test_masquerade_rules_are_set(cluster):
    cluster.agent()
    table = w.run("nft", "list", "table", "inet", "vxmesh")
    assert table.count("masquerade fully-random") == 2


def test_cleanup_removes_what_is_ours_and_nothing_else(cluster):
    agent = cluster.agent()
    w.ip("route", "add", "unreachable", "10.9.0.0/16")
    w.run("nft", "add", "table", "inet", "other")
    status, text = cluster.cleanup()
    assert status == 1 and str(agent.process.pid) in text  # it is running
    agent.process.terminate()
    assert w.device() is not None  # SIGTERM leaves the data plane

    status, text = cluster.cleanup()
    assert status == 0, text
    assert w.device() is None
    assert {destination for destination, _ in w.refusals()} == {"10.9.0.0/16"}
    assert "inet other" in w.run("nft", "list", "tables")
    assert "inet vxmesh" not in w.run("nft", "list", "tables")
    assert cluster.cleanup()[0] == 0  # nothing to do is success

"""What is wrong is said clearly, touches nothing, and harms nobody else."""

import pytest

import world as w


def run_agent(world, *arguments):
    process = world.start("vxmesh-agent", *arguments)
    return process.wait(), process.text()


def test_an_unknown_flag_gets_the_nearest(world):
    status, text = run_agent(world, "--max-neighbors", "5")
    assert status == 2
    assert "--max-neighbors" in text and "--max-neighbours" in text


def test_an_unknown_key_names_file_line_and_nearest(world):
    config = world.folder / "agent.yaml"
    config.write_text("node-name: n1\noverlay: 100.96.0.0/12\nvnii: 1\n")
    status, text = run_agent(world, "check-config", "--config", str(config))
    assert status == 2
    assert "agent.yaml:3" in text and "'vni'" in text


def test_a_configuration_may_be_checked(world):
    config = world.folder / "agent.yaml"
    config.write_text("node-name: n1\noverlay: [100.96.0.0/12]\n")
    assert run_agent(world, "check-config", "--config", str(config))[0] == 0


def test_a_malformed_kubeconfig_names_file_line_and_reason(world):
    kubeconfig = world.folder / "kubeconfig"
    kubeconfig.write_text("apiVersion: v1\nclusters: [\n")
    status, text = run_agent(world, "--node-name", "n1", "--overlay", w.OVERLAY, "--kubeconfig",
                             str(kubeconfig), "--lock-file", str(world.folder / "lock"))
    assert status == 2
    assert f"{kubeconfig}:" in text


def test_a_missing_capability_is_one_line(world):
    process = world.start("vxmesh-agent", "cleanup", "--lock-file", str(world.folder / "lock"))
    assert process.wait() == 0
    without = w.Process(world.folder / "setpriv.log", "setpriv", "--bounding-set", "-net_admin",
                        "--inh-caps", "-net_admin", str(w.BIN / "vxmesh-agent"), "cleanup",
                        "--lock-file", str(world.folder / "lock"))
    try:
        assert without.wait() == 4
        assert without.text().count("\n") == 1 and "CAP_NET_ADMIN" in without.text()
    finally:
        without.end()


def test_a_second_agent_names_the_first(cluster):
    agent = cluster.agent()
    second = cluster.start("vxmesh-agent", "--node-name", "n1", "--overlay", w.OVERLAY, "--server",
                           cluster.api.url, "--lock-file", str(cluster.folder / "agent.lock"))
    assert second.wait() == 1
    assert str(agent.process.pid) in second.text()


def test_a_foreign_device_of_our_name_is_untouched(cluster):
    w.ip("link", "add", "name", "vxlan1", "type", "vxlan", "id", "77", "dstport", "4790",
         "local", w.OWN_ADDRESS)
    before = w.device()
    agent = cluster.start_agent()
    agent.until(lambda: "vxlan1" in agent.readyz()[1] and agent.readyz()[0] == 503, "a clear error")
    assert w.device() == before
    w.ip("link", "delete", "vxlan1")
    agent.until(lambda: agent.readyz()[0] == 200, "ready once it is gone")


def test_a_foreign_device_with_our_vni_and_port_is_named(cluster):
    w.ip("link", "add", "name", "other7", "type", "vxlan", "id", "1", "dstport", "4789",
         "local", w.OWN_ADDRESS)
    agent = cluster.start_agent()
    agent.until(lambda: "other7" in agent.readyz()[1], "a clear error")
    assert w.device() is None and w.device("other7") is not None


def test_incomplete_nodes_are_waited_for(cluster):
    cluster.api.add("n4", None, "172.20.0.14")
    cluster.api.add("n5", "100.96.5.0/24", None)
    agent = cluster.agent()
    assert w.routes() == {"100.96.2.0/24", "100.96.3.0/24"}
    agent.until(lambda: agent.metric("vxmesh_node_problems", kind="waiting") == 2, "both reported")
    cluster.api.change_address("n5", "172.20.0.15")
    agent.until(lambda: "100.96.5.0/24" in w.routes(), "n5 once it is complete")


HOSTILE = [
    ("outside the overlay", "10.0.0.0/24", "172.20.0.66"),
    ("the whole overlay", "100.96.0.0/12", "172.20.0.66"),
    ("the default route", "0.0.0.0/0", "172.20.0.66"),
    ("host bits", "100.96.66.1/24", "172.20.0.66"),
    ("not a prefix", "100.96.66.0/33", "172.20.0.66"),
    ("text", "x; nft flush ruleset", "172.20.0.66"),
    ("multicast address", "100.96.66.0/24", "224.0.0.1"),
    ("broadcast address", "100.96.66.0/24", "255.255.255.255"),
    ("loopback address", "100.96.66.0/24", "127.0.0.1"),
    ("unspecified address", "100.96.66.0/24", "0.0.0.0"),
    ("address inside the overlay", "100.96.66.0/24", "100.96.2.5"),
    ("another's PodCIDR", "100.96.2.0/24", "172.20.0.66"),
    ("part of another's PodCIDR", "100.96.2.128/25", "172.20.0.66"),
    ("ours", w.OWN_POD_CIDR, "172.20.0.66"),
]


@pytest.mark.parametrize("pod_cidr, address", [case[1:] for case in HOSTILE],
                         ids=[case[0] for case in HOSTILE])
def test_a_hostile_node_is_reported_and_harms_nobody(cluster, pod_cidr, address):
    agent = cluster.agent()
    cluster.api.add("evil", pod_cidr, address, creationTimestamp="2040-01-01T00:00:00Z")
    cluster.api.add("good", "100.96.200.0/24", "172.20.0.200",
                    creationTimestamp="2041-01-01T00:00:00Z")
    agent.until(lambda: "100.96.200.0/24" in w.routes(), "the node after it")
    assert w.routes() == {"100.96.2.0/24", "100.96.3.0/24", "100.96.200.0/24"}
    assert set(w.fdb().values()) == {"172.20.0.12", "172.20.0.13", "172.20.0.200"}
    agent.until(lambda: any(agent.metric("vxmesh_node_problems", kind=kind) for kind in (
        "untypable", "bad-pod-cidr", "bad-address", "conflict")), "a report")
    assert agent.readyz()[0] == 200

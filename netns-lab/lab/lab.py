"""A running lab: the topology, the fake API, agents and endpoints, and the ways to look at them."""

import contextlib
import pathlib

from lab.errors import LabError
from lab.kernel import KernelView
from lab.kube import KubeClient
from lab.probes import Endpoint
from lab.processes import Daemon, Daemons, FakeKube, TracedDaemon, run
from lab.topology import API_ADDRESS, OVERLAY, LabNode, NodeSpec, Topology
from lab.waiting import poll_until

AGENT_LISTEN = "127.0.0.1:9809"  # in a namespace of its own, so a fixed port collides with nothing


class Lab:
    """Owns everything it starts; stop() ends and reaps it, whatever state it is in."""

    def __init__(self, programs: pathlib.Path, logs: pathlib.Path) -> None:
        self.programs = programs
        self.logs = logs
        self.topology: Topology
        self.kube: KubeClient
        self.members: list[LabNode] = []  # the nodes that the API knows
        self.agents: dict[str, Daemon] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self._daemons = Daemons()
        self._clean_up = contextlib.ExitStack()
        self._begun_logs: set[pathlib.Path] = set()

    def start(self, specs: list[NodeSpec]) -> None:
        """Builds the topology and starts the API; no agent runs and no Node exists yet."""
        self.topology = Topology(specs)
        self._clean_up.callback(self.topology.stop)
        self._clean_up.callback(self._daemons.stop)
        fakekube = FakeKube(
            self.topology.api,
            self.programs / "vxmesh-fakekube",
            API_ADDRESS,
            self._log("fakekube.log"),
        )
        self._daemons.add(fakekube.daemon)
        self.api_url = fakekube.url
        self.kube = KubeClient(fakekube.url)
        for host in self.topology.hosts():
            watch = host.name in self.nodes
            endpoint = Endpoint(host, watch, self._log(f"{host.name}-endpoint.log"))
            self.endpoints[host.name] = endpoint
            self._clean_up.callback(endpoint.close)
        for endpoint in self.endpoints.values():
            endpoint.await_ready()

    @property
    def nodes(self) -> dict[str, LabNode]:
        return self.topology.nodes

    def view(self, node: LabNode) -> KernelView:
        return KernelView(node.host)

    # ------------------------------------------------------------------------------- members

    def join(self, node: LabNode) -> None:
        """Registers the node, as kubelet does, and starts its agent."""
        self.kube.create(node)
        self.members.append(node)
        self.start_agent(node)

    def leave(self, node: LabNode) -> None:
        """Deletes the Node object only: its machine, pods and agent live on."""
        self.kube.delete(node)
        self.members.remove(node)

    def others(self, node: LabNode) -> list[LabNode]:
        return [other for other in self.members if other is not node]

    # -------------------------------------------------------------------------------- agents

    def start_agent(self, node: LabNode) -> Daemon:
        return self._started(
            node,
            Daemon(
                node.host,
                f"agent@{node.name}",
                self._agent_command(node),
                self._log(f"{node.name}-agent.log"),
            ),
        )

    def start_traced_agent(self, node: LabNode) -> TracedDaemon:
        daemon = TracedDaemon(
            node.host,
            f"agent@{node.name}",
            self._agent_command(node),
            self._log(f"{node.name}-agent.log"),
            self._log(f"{node.name}-agent.strace"),
        )
        self._started(node, daemon)
        return daemon

    def _started(self, node: LabNode, daemon: Daemon) -> Daemon:
        self.agents[node.name] = self._daemons.add(daemon)
        return daemon

    def _log(self, name: str) -> pathlib.Path:
        """A file that this lab's programs append to; what an earlier lab left in it is removed."""
        path = self.logs / name
        if path not in self._begun_logs:
            path.unlink(missing_ok=True)
            self._begun_logs.add(path)
        return path

    def _agent_command(self, node: LabNode) -> list[str]:
        command = [str(self.programs / "vxmesh-agent"), "run", "--node-name", node.name]
        command += ["--server", self.api_url, "--overlay", OVERLAY, "--listen", AGENT_LISTEN]
        return command + ["--lock-file", f"/run/{node.name}-agent.lock"]

    def ready(self, node: LabNode) -> str:
        """What the agent says of its readiness: "200", another status, or that it is not there."""
        if not self.agents[node.name].running:
            return f"ended with status {self.agents[node.name].process.returncode}"
        url = f"http://{AGENT_LISTEN}/readyz"
        answer = self.endpoints[node.name].start("http", url=url).answer()
        return str(answer["status"]) if answer["status"] else "does not answer"

    def await_ready(self, node: LabNode, within: float = 15) -> None:
        """Raises LabError when the agent is not ready in time: nothing else can be checked then."""
        decided = ("200", "ended")
        was = poll_until(lambda: self.ready(node), lambda text: text.startswith(decided), within)
        if was != "200":
            log = self.logs / f"{node.name}-agent.log"
            lines = log.read_text(errors="replace").splitlines()[-5:]
            raise LabError("\n".join([f"agent of {node.name} is not ready: {was}"] + lines))

    # ------------------------------------------------------------------------------ the end

    def keep_state(self) -> None:
        """Leaves what every node's kernel holds beside the logs."""
        commands = [
            "ip -d addr show",
            "ip -d route show table all",
            "ip neigh show nud all",
            "bridge fdb show",
            "nft list ruleset",
        ]
        for node in self.nodes.values():
            with (self.logs / f"{node.name}-kernel.txt").open("w") as output:
                for command in commands:
                    try:
                        text = run(node.host, command.split())
                    except LabError as error:
                        text = f"{error}\n"
                    print(f"# {command}\n{text}", file=output)

    def stop(self) -> None:
        """Ends and reaps everything; the namespaces go when the last process in them does."""
        self._clean_up.close()

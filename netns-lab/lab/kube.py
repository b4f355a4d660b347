"""Node objects, written to the API as kubelet and the controllers would."""

import json
import urllib.error
import urllib.request
from typing import Any, Optional

from lab.errors import LabError
from lab.topology import LabNode

TIMEOUT_S = 10


def node_object(node: LabNode) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "spec": {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ]
        },
    }


class KubeClient:
    """The few requests that a lab makes. A refused one raises LabError with the server's text."""

    def __init__(self, url: str) -> None:
        self._url = url

    def create(self, node: LabNode) -> None:
        self._request("POST", "/api/v1/nodes", node_object(node))

    def change_address(self, node: LabNode) -> None:
        """Writes the node's address of now, keeping the rest of the stored object."""
        stored = self._request("GET", f"/api/v1/nodes/{node.name}")
        stored["status"] = node_object(node)["status"]
        self._request("PUT", f"/api/v1/nodes/{node.name}", stored)

    def delete(self, node: LabNode) -> None:
        self._request("DELETE", f"/api/v1/nodes/{node.name}")

    def _request(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        # An opener without proxies: the lab's network knows none.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace").strip()
            raise LabError(f"{method} {path}: {error.code} {text}") from error
        except OSError as error:
            raise LabError(f"{method} {path}: {error}") from error

"""The helper process of one namespace: it answers echoes, sends probes and watches neighbours.

Run as a file of its own (`python3 -I -S endpoint.py NAME`), with nothing but the standard library,
because a lab starts one for each node and pod. Commands come as JSON lines on standard input, each
with an "id" and a "do"; answers go as JSON lines to standard output, in the order in which they
complete. It ends when standard input does.
"""

import ctypes
import errno
import json
import os
import select
import signal
import socket
import statistics
import struct
import sys
import threading
import time
from typing import Any, Callable, Optional

ECHO_PORT = 7007
PATIENCE_S = 3.0  # for a TCP connection or an HTTP answer
MAGIC = 0x76786D01
MESSAGE = struct.Struct("!II")  # magic, sequence number

# linux/rtnetlink.h and linux/neighbour.h
RTMGRP_NEIGH = 1 << 2
NEIGHBOUR_MESSAGES = {28: "new", 29: "delete", 30: "miss"}  # RTM_NEWNEIGH, DELNEIGH, GETNEIGH
NDA_DST, NDA_LLADDR = 1, 2
SO_RCVBUFFORCE = 33
IP_RECVERR = 11
PR_SET_PDEATHSIG = 1
TCP_INFO_TOTAL_RETRANS = 100  # offset of tcpi_total_retrans in struct tcp_info, linux/tcp.h


def error_name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


# ---------------------------------------------------------------------------------- echo servers


def serve_udp(name: str, server: socket.socket) -> None:
    """Answers each message with itself, our name and the source address that we saw."""
    while True:
        data, peer = server.recvfrom(2048)
        server.sendto(data[: MESSAGE.size] + f"{name} {peer[0]}".encode(), peer)


def serve_tcp(name: str, server: socket.socket) -> None:
    """Greets each connection with our name and the peer's address, then echoes."""

    def echo(connection: socket.socket, peer: str) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(f"{name} {peer}\n".encode())
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass  # the peer is gone; it counts what it lost
        finally:
            connection.close()

    while True:
        connection, peer = server.accept()
        threading.Thread(target=echo, args=(connection, peer[0]), daemon=True).start()


# ---------------------------------------------------------------------------------------- probes

Answer = tuple[int, str, str]  # sequence number, who answered, the source address they saw


class UdpTransport:
    """Numbered datagrams to a peer's echo server."""

    def __init__(self, to: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((to, ECHO_PORT))

    def send(self, sequence: int) -> None:
        self.socket.send(MESSAGE.pack(MAGIC, sequence))

    def receive(self) -> list[Answer]:
        data = self.socket.recv(2048)
        magic, sequence = MESSAGE.unpack_from(data)
        who, source = data[MESSAGE.size :].decode().split()
        return [(sequence, who, source)] if magic == MAGIC else []

    def retransmissions(self) -> int:
        return 0


class IcmpTransport:
    """Echo requests, answered by the peer's kernel: who answered is not known."""

    def __init__(self, to: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.connect((to, 0))
        self.ident = int.from_bytes(os.urandom(2), "big")

    def send(self, sequence: int) -> None:
        def packet(checksum: int) -> bytes:
            header = struct.pack("!BBHHH", 8, 0, checksum, self.ident, sequence & 0xFFFF)
            return header + MESSAGE.pack(MAGIC, sequence)

        words = struct.unpack("!8H", packet(0))
        total = sum(words)
        total = (total >> 16) + (total & 0xFFFF)
        self.socket.send(packet(~(total + (total >> 16)) & 0xFFFF))

    def receive(self) -> list[Answer]:
        data = self.socket.recv(2048)
        icmp = data[(data[0] & 0xF) * 4 :]
        kind, _, _, ident, _ = struct.unpack_from("!BBHHH", icmp)
        if kind != 0 or ident != self.ident or len(icmp) < 16:
            return []  # a raw socket sees the ICMP of everybody in this namespace
        magic, sequence = MESSAGE.unpack_from(icmp, 8)
        return [(sequence, "", "")] if magic == MAGIC else []

    def retransmissions(self) -> int:
        return 0


class TcpTransport:
    """Numbered messages over one connection, made when the transport is."""

    def __init__(self, to: str) -> None:
        self.socket = socket.create_connection((to, ECHO_PORT), timeout=PATIENCE_S)
        self.connect_retransmissions = self.retransmissions()  # a SYN that was lost
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = b""
        while not greeting.endswith(b"\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise ConnectionResetError(errno.ECONNRESET, "closed before the greeting")
            greeting += byte
        self.who, self.source = greeting.decode().split()
        self.buffer = b""

    def send(self, sequence: int) -> None:
        self.socket.sendall(MESSAGE.pack(MAGIC, sequence))

    def receive(self) -> list[Answer]:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the peer")
        self.buffer += data
        answers = []
        while len(self.buffer) >= MESSAGE.size:
            _, sequence = MESSAGE.unpack_from(self.buffer)
            self.buffer = self.buffer[MESSAGE.size :]
            answers.append((sequence, self.who, self.source))
        return answers

    def retransmissions(self) -> int:
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return struct.unpack_from("=I", info, TCP_INFO_TOTAL_RETRANS)[0]


TRANSPORTS = {"udp": UdpTransport, "icmp": IcmpTransport, "tcp": TcpTransport}


class Flow:
    """Sends numbered messages at a steady pace and counts exactly which are answered.

    It ends after `count` messages, or when `stopped` is set if there is no count, and then waits
    up to `linger` seconds for what is still on its way.
    """

    def __init__(
        self, to: str, kind: str, interval: float, count: Optional[int], linger: float
    ) -> None:
        self.to, self.kind, self.interval, self.count = to, kind, interval, count
        self.linger = linger
        self.sent_at: list[float] = []
        self.round_trip_us: dict[int, float] = {}
        self.who: set[str] = set()
        self.sources: set[str] = set()
        self.errors: dict[str, int] = {}
        self.connect_us = 0.0
        self.syn_retransmissions = 0
        self.retransmissions = 0

    def run(self, stopped: threading.Event) -> dict[str, Any]:
        start = time.monotonic()
        try:
            transport = TRANSPORTS[self.kind](self.to)
        except OSError as error:
            self._count_error(error)
            self.sent_at.append(start)  # the connection itself is what was lost
            return self._result()
        self.connect_us = (time.monotonic() - start) * 1e6
        self.syn_retransmissions = getattr(transport, "connect_retransmissions", 0)
        with transport.socket:
            try:
                self._loop(transport, stopped)
                self.retransmissions = transport.retransmissions()
            except ConnectionError as error:
                self._count_error(error)
        return self._result()

    def _loop(self, transport: Any, stopped: threading.Event) -> None:
        poller = select.poll()
        poller.register(transport.socket, select.POLLIN)
        start = time.monotonic()
        deadline = None
        while True:
            now = time.monotonic()
            sequence = len(self.sent_at)
            more = not stopped.is_set() and (self.count is None or sequence < self.count)
            due = start + sequence * self.interval
            if more and now >= due:
                self._send(transport, sequence)
                continue
            if not more:
                deadline = deadline or now + self.linger
                if len(self.round_trip_us) == sequence or now >= deadline:
                    return
            wait = (due if more else deadline or now) - now
            if poller.poll(max(0, min(wait, 0.05)) * 1000):
                self._receive(transport)

    def _send(self, transport: Any, sequence: int) -> None:
        self.sent_at.append(time.monotonic())
        try:
            transport.send(sequence)
        except ConnectionResetError:
            raise
        except OSError as error:
            self._count_error(error)

    def _receive(self, transport: Any) -> None:
        try:
            answers = transport.receive()
        except ConnectionResetError:
            raise
        except OSError as error:
            self._count_error(error)
            return
        now = time.monotonic()
        for sequence, who, source in answers:
            if sequence < len(self.sent_at) and sequence not in self.round_trip_us:
                self.round_trip_us[sequence] = (now - self.sent_at[sequence]) * 1e6
                self.who.add(who)
                self.sources.add(source)

    def _count_error(self, error: OSError) -> None:
        name = "ETIMEDOUT" if isinstance(error, TimeoutError) else error_name(error.errno or 0)
        self.errors[name] = self.errors.get(name, 0) + 1

    def _result(self) -> dict[str, Any]:
        times = list(self.round_trip_us.values())
        lost = [n for n in range(len(self.sent_at)) if n not in self.round_trip_us]
        return {
            "sent": len(self.sent_at),
            "received": len(times),
            "lost": lost[:10],
            "first_us": self.round_trip_us.get(0),
            "median_us": statistics.median(times) if times else None,
            "max_us": max(times) if times else None,
            "who": sorted(self.who - {""}),
            "sources": sorted(self.sources - {""}),
            "errors": self.errors,
            "connect_us": self.connect_us,
            "syn_retransmissions": self.syn_retransmissions,
            "retransmissions": self.retransmissions,
        }


def refusal(to: str, kind: str, within: float) -> dict[str, Any]:
    """Sends a first packet to an address that must be refused; tells the errno and when it came.

    The errno of a UDP probe from a pod is that of the ICMP error; from a node it is that of the
    call itself.
    """
    family = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, family) as probe:
        # Without it UDP keeps "host unreachable" to itself: to the kernel it is no fatal error.
        probe.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        start = time.monotonic()
        number = 0
        try:
            probe.settimeout(within)
            probe.connect((to, ECHO_PORT))
            probe.send(b"?")
            probe.recv(1)
        except TimeoutError:
            number = errno.ETIMEDOUT
        except OSError as error:
            number = error.errno or 0
        return {"error": error_name(number), "after_ms": (time.monotonic() - start) * 1000}


# ------------------------------------------------------------------------------------ neighbours


class NeighbourLog:
    """Every neighbour notification of this namespace, misses included, from the kernel itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.events: list[dict[str, Any]] = []
        self.overruns = 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((0, RTMGRP_NEIGH))
        threading.Thread(target=self._run, daemon=True).start()

    def since(self, first: int) -> dict[str, Any]:
        with self.lock:
            count = len(self.events)
            return {"events": self.events[first:], "next": count, "overruns": self.overruns}

    def _run(self) -> None:
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                with self.lock:
                    self.overruns += 1
                continue
            now = time.monotonic()
            offset = 0
            while offset + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if length < 16:
                    break
                if kind in NEIGHBOUR_MESSAGES:
                    self._record(now, NEIGHBOUR_MESSAGES[kind], data[offset + 16 : offset + length])
                offset += (length + 3) & ~3

    def _record(self, now: float, kind: str, body: bytes) -> None:
        family, _, _, ifindex, state, flags, _ = struct.unpack_from("=BBHiHBB", body)
        attributes = {}
        offset = 12
        while offset + 4 <= len(body):
            length, name = struct.unpack_from("=HH", body, offset)
            if length < 4:
                break
            attributes[name] = body[offset + 4 : offset + length]
            offset += (length + 3) & ~3
        if family != socket.AF_INET or NDA_DST not in attributes:
            return
        event = {
            "at": now,
            "kind": kind,
            "ifindex": ifindex,
            "address": socket.inet_ntop(family, attributes[NDA_DST]),
            "lladdr": attributes.get(NDA_LLADDR, b"").hex(":"),
            "state": state,
            "flags": flags,
        }
        with self.lock:
            self.events.append(event)


def http_get(url: str) -> dict[str, Any]:
    """One GET; status 0 when nobody answers."""
    import http.client  # slow to load, and only nodes need it
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return {"status": response.status, "body": response.read().decode(errors="replace")}
    except (OSError, http.client.HTTPException):
        return {"status": 0, "body": ""}
    finally:
        connection.close()


# ---------------------------------------------------------------------------------- command loop


class Commands:
    """Runs each command in a thread of its own, so that probes overlap."""

    def __init__(self) -> None:
        self.output = threading.Lock()
        self.neighbours: Optional[NeighbourLog] = None
        self.stops: dict[int, threading.Event] = {}

    def execute(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "flow":
            names = ("to", "kind", "interval", "count", "linger")
            return Flow(*(request[name] for name in names)).run(self.stops[request["id"]])
        if do == "refusal":
            return refusal(request["to"], request["kind"], request["within"])
        if do == "neighbours":
            return self.neighbours.since(request["since"]) if self.neighbours else {}
        if do == "http":
            return http_get(request["url"])
        raise ValueError(f"unknown command {do}")

    def start(self, request: dict[str, Any]) -> None:
        if request["do"] == "stop":
            self.stops[request["target"]].set()
            return
        self.stops[request["id"]] = threading.Event()

        def run() -> None:
            try:
                answer = self.execute(request)
            except Exception as error:  # the lab reports it; this process lives on
                answer = {"failure": f"{type(error).__name__}: {error}"}
            self.write({"id": request["id"], "answer": answer})

        threading.Thread(target=run, daemon=True).start()

    def write(self, value: dict[str, Any]) -> None:
        with self.output:
            sys.stdout.write(json.dumps(value) + "\n")
            sys.stdout.flush()


def listen(kind: int, serve: Callable[[str, socket.socket], None], name: str) -> None:
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("", ECHO_PORT))
    if kind == socket.SOCK_STREAM:
        server.listen(128)
    threading.Thread(target=serve, args=(name, server), daemon=True).start()


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    name = sys.argv[1]
    listen(socket.SOCK_DGRAM, serve_udp, name)
    listen(socket.SOCK_STREAM, serve_tcp, name)
    commands = Commands()
    if "--neighbours" in sys.argv[2:]:
        commands.neighbours = NeighbourLog()
    commands.write({"id": 0, "answer": {}})
    for line in sys.stdin:
        commands.start(json.loads(line))


if __name__ == "__main__":
    main()

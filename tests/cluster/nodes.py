"""Two hosts on one machine: a Ray cluster whose nodes share the processors and nothing else.

Each node has its own network, processes, host name, home and disk; between them is a cable that can be pulled. What a
node reads it was sent, it took from its own disk, or it lies in `Cluster.shared`. Needs Linux and root.

The hosts' files stay visible where they are not hidden (the interpreter, the libraries), as if installed on each node.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

import ganops

NEEDED = ("ip", "unshare", "nsenter", "mount")
# The defaults notice a node that falls silent after 65 s.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp/home",
    "LANG": "C.UTF-8",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "GLOO_SOCKET_IFNAME": "eth0",
}
# What a host does when it is switched on. The token comes in by standard input, so that it is in no argument and no
# variable. That pipe stays open as long as the tests live: when they die, in whatever way, so does the node. The shell
# is the node's first process and stays: somebody must collect the processes whose parents are gone.
BOOT = """
set -eu
read -r token
exec 3<&0 </dev/null
hostname {name}
{mounts}
mount -t tmpfs none /dev/shm
mkdir -p ~/.ray
(umask 077; printf %s "$token" > ~/.ray/auth_token)
printf '%s\\n' {hosts} > /tmp/hosts
echo 'hosts: files' > /tmp/nsswitch.conf
mount --bind /tmp/hosts /etc/hosts
mount --bind /tmp/nsswitch.conf /etc/nsswitch.conf
cat <&3 &
exec 3<&-
{start} &
wait -n
"""


def command(*words) -> str:
    """Runs a short command; returns what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"`{shlex.join(done.args)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ip(*words, inside: str | None = None) -> str:
    return command("ip", *(("-n", inside) if inside else ()), *words)


def obstacle() -> str | None:
    """Why there can be no cluster here."""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        return f"a cluster of namespaces needs Linux's {', '.join(missing)}"
    if os.geteuid() != 0:
        return "a cluster of namespaces needs root"
    name = f"gan-probe-{os.getpid()}"
    try:
        ip("netns", "add", name)
        command("ip", "netns", "exec", name, "unshare", "-m", "-p", "-u", "-i", "-f", "--mount-proc", "true")
    except OSError as error:
        return f"a cluster of namespaces needs the right to make them; {error}"
    finally:
        with contextlib.suppress(OSError):
            ip("netns", "del", name)
    return None


def mounts(hidden, visible) -> str:
    """Commands that cover folders with empty disks and bring others back; of two paths the longer one decides.

    What is to be brought back is held open meanwhile, since its path leads nowhere once a parent is covered.
    """
    actions = {**{Path(folder): False for folder in visible}, **{Path(folder): True for folder in hidden}}
    hold, act, release = [], [], []
    for number, (folder, hide) in enumerate(sorted(actions.items(), key=lambda item: len(item[0].parts)), start=10):
        path = shlex.quote(str(folder))
        if hide:
            act.append(f"mkdir -p {path}; mount -t tmpfs -o mode=1777 none {path}")
        elif any(folder.is_relative_to(other) for other, hides in actions.items() if hides):
            hold.append(f"exec {number}<{path}")
            act.append(f"mkdir -p {path}; mount --no-canonicalize --bind /proc/self/fd/{number} {path}")
            release.append(f"exec {number}<&-")
    return "\n".join(hold + act + release)


class Node:
    """A host: on between `start` and `kill`, connected unless `cut`."""

    def __init__(self, cluster: "Cluster", name: str, number: int) -> None:
        self.cluster = cluster
        self.name = name
        self.address = f"{cluster.subnet}.{number}"
        self.namespace = f"{cluster.name}-{name}"
        self.log = cluster.folder / f"{name}.log"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Switches the node on (off before, if need be) with an empty disk; to wait for it is for `Cluster.wait`."""
        self.kill()
        self.plug()
        isolated = ["unshare", "-m", "-p", "-u", "-i", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *isolated, "bash", "-c", self.boot()],
                cwd="/",  # a folder of the tests' would stay reachable through it
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with contextlib.suppress(BrokenPipeError):  # it is gone already; `wait` tells
            self.process.stdin.write(f"{self.cluster.token_path.read_text()}\n".encode())
            self.process.stdin.flush()

    def kill(self) -> None:
        """Cuts the power: to the others the node falls silent, since nobody is left who could close a connection."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.cut()
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process = None
        self.unplug()

    def cut(self) -> None:
        """Pulls the cable at the switch: the node keeps its address and its routes, as a host does."""
        ip("link", "set", self.name, "down", inside=self.cluster.switch)

    def mend(self) -> None:
        """Puts the cable back."""
        ip("link", "set", self.name, "up", inside=self.cluster.switch)

    def running(self) -> bool:
        """Is it on, and has Ray not given up?"""
        return self.process is not None and self.process.poll() is None

    def processes(self, pattern: str = "") -> list[psutil.Process]:
        """The node's processes in whose command line the regular expression is found, but for the first."""
        found, everything = [], []
        with contextlib.suppress(LookupError, psutil.NoSuchProcess):  # off
            everything = self.first().children(recursive=True)
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE and re.search(pattern, " ".join(process.cmdline())):
                    found.append(process)
        return found

    def first(self) -> psutil.Process:
        """The process with which the node ends."""
        if not self.running():
            raise LookupError(self.cluster.trouble(f"{self.name} is off"))
        return psutil.Process(self.process.pid).children()[0]

    def pids(self, pattern: str = "") -> list[int]:
        """Their numbers as this process sees them."""
        return [process.pid for process in self.processes(pattern)]

    def kill_process(self, pattern: str) -> list[int]:
        """Kills the matching processes with SIGKILL; returns which. None is an error: the fault would not happen."""
        found = self.processes(pattern)
        if not found:
            running = "\n".join(" ".join(process.cmdline())[:150] for process in self.processes())
            raise LookupError(f"no process of {self.name} matches {pattern!r}; it runs\n{running}")
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return [process.pid for process in found]

    def run(self, *words) -> str:
        """Runs a short command on the node; returns what it printed."""
        assigned = [f"{name}={value}" for name, value in self.environment().items()]
        inside = ["nsenter", "-t", self.first().pid, "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        return command(*inside, "env", "-i", *assigned, *words)

    def environment(self) -> dict[str, str]:
        """Nothing of the tests' own variables: they are not set on another host."""
        return {**ENVIRONMENT, **HEALTH, **self.cluster.variables}

    def boot(self) -> str:
        cluster = self.cluster
        hosts = ["127.0.0.1 localhost", *(f"{node.address} {node.name}" for node in cluster.nodes)]
        place = [f"--node-ip-address={self.address}", f"--num-cpus={cluster.cpus}", "--object-store-memory=200000000"]
        role = ["--head", "--port=6379", "--dashboard-host=0.0.0.0"]
        if self is not cluster.head:
            role = [f"--address={cluster.head.address}:6379"]
        ray = Path(sys.executable).with_name("ray")
        return BOOT.format(
            name=self.name,
            mounts=mounts(cluster.hidden, cluster.visible),
            hosts=shlex.join(hosts),
            start=shlex.join([str(ray), "start", *role, *place, "--disable-usage-stats", "--block"]),
        )

    def plug(self) -> None:
        """A new network card, connected."""
        switch = self.cluster.switch
        ip("netns", "add", self.namespace)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.namespace, inside=switch)
        ip("link", "set", self.name, "master", "bridge", "up", inside=switch)
        ip("link", "set", "lo", "up", inside=self.namespace)
        ip("addr", "add", f"{self.address}/24", "dev", "eth0", inside=self.namespace)
        ip("link", "set", "eth0", "up", inside=self.namespace)
        ip("route", "add", "default", "via", f"{self.cluster.subnet}.1", inside=self.namespace)

    def unplug(self) -> None:
        """Takes the card out, and what the kernel still wanted to send with it."""
        with contextlib.suppress(OSError):
            ip("link", "del", self.name, inside=self.cluster.switch)
        with contextlib.suppress(OSError):
            ip("netns", "del", self.namespace)

    def tail(self, lines: int = 25) -> str:
        """The last lines of what Ray printed there."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.log}\n" + "\n".join(text.splitlines()[-lines:])


class Cluster:
    """A head and a worker on a network of their own, as a context manager.

    `folder` is on this host: logs, the client's token and home, and `shared`, which all nodes see under the same path.
    `hidden` are folders of this host that the nodes find empty, beside those for temporary files; what nodes need of
    them (the interpreter, the package's source, `shared`) stays. `variables` are set on the nodes.
    """

    def __init__(self, folder, cpus: int = 1, hidden=(), variables=None) -> None:
        self.folder = Path(folder).resolve()
        self.shared = self.folder / "shared"
        self.token_path = self.folder / "token"
        self.cpus = cpus
        self.variables = dict(variables or {})
        self.hidden = [Path(each).resolve() for each in ("/tmp", "/var/tmp", tempfile.gettempdir(), *hidden)]
        if missing := [str(folder) for folder in self.hidden if not folder.is_dir()]:
            raise NotADirectoryError(f"only a folder can be hidden, not {', '.join(missing)}")
        needed = [Path(each) for each in (sys.prefix, sys.base_prefix, Path(ganops.__file__).parents[1])]
        self.visible = [self.shared, *needed, *(each.resolve() for each in needed)]

    def __enter__(self) -> "Cluster":
        with contextlib.ExitStack() as stack:
            self.number = stack.enter_context(claimed())
            self.name, self.subnet, self.switch = f"gan{self.number}", subnet(self.number), f"gan{self.number}-switch"
            self.prepare()
            self.head, self.worker = self.nodes = [Node(self, "head", 2), Node(self, "worker", 3)]
            self.address = f"http://{self.head.address}:8265"
            for node in self.nodes:
                stack.callback(node.kill)
            self.head.start()
            self.wait_port()
            self.worker.start()
            self.wait()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.stack.close()

    def prepare(self) -> None:
        """Folders, the token, and the switch with this host at address 1."""
        for folder in (self.shared, self.folder / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        self.token_path.touch(mode=0o600)
        self.token_path.write_text(secrets.token_hex(32))
        # The bridge has a namespace of its own: a firewall of this host (Docker's) may filter what its bridges carry.
        ip("netns", "add", self.switch)
        ip("link", "add", "bridge", "type", "bridge", inside=self.switch)
        ip("link", "set", "bridge", "up", inside=self.switch)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "uplink", "netns", self.switch)
        ip("link", "set", "uplink", "master", "bridge", "up", inside=self.switch)
        ip("addr", "add", f"{self.subnet}.1/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def environment(self) -> dict[str, str]:
        """Variables of a client on this host; with a home of its own, lest Ray takes a token from the real one."""
        return {
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_path),
            "RAY_USAGE_STATS_ENABLED": "0",
            "HOME": str(self.folder / "home"),
            "NO_PROXY": self.head.address,
            "no_proxy": self.head.address,
        }

    def get(self, path: str, token: str | None = None, method: str = "GET"):
        """What the dashboard answers.

        Raises:
            OSError: it does not answer, or refuses (`urllib.error.HTTPError`).
        """
        bearer = f"Bearer {self.token_path.read_text() if token is None else token}"
        request = urllib.request.Request(self.address + path, headers={"Authorization": bearer}, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=5) as response:
            return json.load(response)

    def announce(self, node: Node, seconds: int) -> None:
        """Has the head told that a node will be taken away, as a cloud announces it; nothing else happens to it."""
        known = [each["raylet"] for each in self.get("/nodes?view=summary")["data"]["summary"]]
        (name,) = [
            each["nodeId"] for each in known
            if each["nodeManagerAddress"] == node.address and each.get("state") == "ALIVE"
        ]  # fmt: skip
        self.head.run(
            *(Path(sys.executable).with_name("ray"), "drain-node", "--address", f"{self.head.address}:6379"),
            *("--node-id", name, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "announced"),
            *("--deadline-remaining-seconds", seconds),
        )

    def alive(self) -> int:
        """How many nodes the head takes for alive.

        Raises:
            OSError: the head does not answer.
        """
        nodes = self.get("/nodes?view=summary")["data"]["summary"]
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def wait(self, nodes: int = 2, seconds: float = 60) -> float:
        """Waits until that many nodes are alive and jobs are accepted; returns how long it took, in seconds.

        Raises:
            TimeoutError: with the ends of the nodes' logs; at once where too few nodes are left running.
        """
        start, seen = time.monotonic(), "no answer"
        while (elapsed := time.monotonic() - start) < seconds and sum(node.running() for node in self.nodes) >= nodes:
            try:
                seen = f"{self.alive()} alive"
                self.get("/api/jobs/")
                if seen == f"{nodes} alive":
                    return elapsed
            except OSError as error:
                seen = str(error)
            time.sleep(0.2)
        raise TimeoutError(self.trouble(f"after {elapsed:.0f} s not {nodes} nodes alive, but: {seen}"))

    def wait_port(self, seconds: float = 60) -> None:
        """Waits until the head can be joined: long before it says so itself."""
        start = time.monotonic()
        while self.head.running() and time.monotonic() - start < seconds:
            with contextlib.suppress(OSError), socket.create_connection((self.head.address, 6379), timeout=1):
                return
            time.sleep(0.1)
        raise TimeoutError(self.trouble("the head does not come up"))

    def heal(self) -> None:
        """Makes good every fault that the head has noticed: nodes that are cut, off or declared dead."""
        if not self.head.running():
            self.head.start()
            self.wait_port()
            self.worker.start()
        for node in self.nodes:
            if node.running():
                node.mend()
        try:
            self.wait(seconds=3)
        except TimeoutError:
            self.worker.kill()
            self.wait(nodes=1)  # else the one that was killed would be counted for the one that starts
            self.worker.start()
            self.wait()

    def trouble(self, what: str) -> str:
        return "\n".join([what, *(node.tail() for node in self.nodes)])


def subnet(number: int) -> str:
    return f"10.77.{number}"


@contextlib.contextmanager
def claimed():
    """The number of a network that is nobody's, for as long as it is held; leftovers of its last holder are removed.

    A lock ends with its process, so a number that can be locked belongs to no run that still lives.
    """
    for number in range(1, 255):
        with open(f"/run/ganops-cluster-{number}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            remove(number)
            if ip("-4", "route", "show", "table", "all", "root", f"{subnet(number)}.0/24"):
                continue
            try:
                yield number
            finally:
                remove(number)
            return
    raise OSError("all networks of 10.77.0.0/16 are in use")


def remove(number: int) -> None:
    """The network of that number, if it is there."""
    with contextlib.suppress(OSError):
        ip("link", "del", f"gan{number}")
    for name in ("head", "worker", "switch"):
        with contextlib.suppress(OSError):
            ip("netns", "del", f"gan{number}-{name}")

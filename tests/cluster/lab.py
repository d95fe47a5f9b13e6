"""Two machines and one that commands them, out of namespaces of this one: a network that leads nowhere else, a process
table, mounts and an sshd for each. Nothing of it is left, not even an interface, when its processes have ended.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
ADDRESSES = {"head": "10.99.0.1", "worker": "10.99.0.2"}
CLIENT = "10.99.0.254"  # the commanding machine, of which only the network is not that of this one
TOOLS = ("sshd", "ssh", "ssh-keygen", "rsync", "ip", "unshare", "nsenter", "mount", "setpriv")
NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--uts", "--fork")
# What a machine and its cable are made of.
PROBE = """
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount --bind /etc/hosts /etc/hosts
ip link add hub type bridge
ip link add one type veth peer name other
"""
RAY_SCRIPT = "#!{python}\nimport sys\nfrom ray.scripts.scripts import main\nsys.exit(main())\n"


def what_is_missing() -> str | None:
    """Why no lab can be made here, as a reason to skip; None where it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    tools = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if tools:
        return f"needs {', '.join(tools)}: apt-get install openssh-server openssh-client rsync iproute2 util-linux"
    made = subprocess.run([*NAMESPACES, "--kill-child", "sh", "-ec", PROBE], capture_output=True)
    if made.returncode:
        return f"needs namespaces with what is in them, not allowed here ({made.stderr.decode().strip()})"
    return None


class Node(NamedTuple):
    name: str
    address: str
    home: Path
    process: subprocess.Popen[bytes]  # outside of its namespaces

    def processes(self) -> list[psutil.Process]:
        """All that run on it, its sshd and what that began included."""
        table = os.readlink(f"/proc/{self._init.pid}/ns/pid")
        return [process for process in psutil.process_iter() if _table_of(process) == table]

    @property
    def _init(self) -> psutil.Process:
        (init,) = psutil.Process(self.process.pid).children()
        return init


def _table_of(process: psutil.Process) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{process.pid}/ns/pid")
    return None


class Lab:
    def __init__(self, folder: Path, nodes: dict[str, Node], network: int, variables: dict[str, str]) -> None:
        """`network`: id of a process in the commanding machine's network."""
        self.folder = folder
        self.nodes = nodes
        self.variables = variables  # environment of the commanding machine
        self._network = network

    def start(self, *command: str, quiet: bool = False, **variables: str) -> subprocess.Popen[str]:
        """A command on the commanding machine; its output is one stream, or nowhere."""
        return subprocess.Popen(
            [*_inside(self._network), *command],
            cwd=ROOT,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, timeout: float = 120, **variables: str) -> tuple[int, str]:
        """Returns the exit code and what was printed."""
        process = self.start(*command, **variables)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"{command} has not ended after {timeout} s:\n{output}") from None
        return process.returncode, output

    def pull_cable(self, name: str) -> None:
        """The machine runs on, and reaches nobody."""
        self._set_cable(name, "down")

    def plug_cable(self, name: str) -> None:
        self._set_cable(name, "up")

    def _set_cable(self, name: str, state: str) -> None:
        subprocess.run([*_inside(self._network), "ip", "link", "set", f"to-{name}", state], check=True)


@contextmanager
def make_lab(folder: Path) -> Iterator[Lab]:
    """All that runs in it is killed at the end."""
    Path("/tmp/ray").mkdir(exist_ok=True)  # where each node has a folder of its own mounted
    variables = _client(folder / "client")
    with ExitStack() as ends:
        network = ends.enter_context(_running("unshare", "--net", "sleep", "infinity"))
        _wait_for_network_of(network)
        _in_network(network, "link set lo up", "link add hub type bridge", f"address add {CLIENT}/24 dev hub")
        _in_network(network, "link set hub up")
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in ADDRESSES.items()))
        nodes = {}
        for name in ADDRESSES:
            node_folder = _node_folder(folder, name)
            process = ends.enter_context(_node(name, node_folder, hosts))
            _wait_for_network_of(process)
            _in_network(network, f"link add to-{name} type veth peer name {name}")
            _in_network(network, f"link set {name} netns {process.pid}", f"link set to-{name} master hub up")
            nodes[name] = Node(name, ADDRESSES[name], node_folder / "home", process)
        yield Lab(folder, nodes, network.pid, variables)


def _client(home: Path) -> dict[str, str]:
    """The environment of the commanding machine, with a key for ssh in its home."""
    (home / "tmp").mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key")], check=True)
    script = home / "bin" / "ray"
    _write_ray_script(script, Path(sys.executable))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "RLX2_"))}
    path = f"{script.parent}:{Path(sys.executable).parent}:{kept['PATH']}:/usr/sbin:/sbin"
    own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "RAY_TMPDIR": str(home / "tmp"), "PATH": path}
    kernels = Path.home() / ".cache" / "rlx2_ray" / "kernels"  # which a machine compiles once
    return {"NUMBA_CACHE_DIR": str(kernels), **kept, **own, "RAY_USAGE_STATS_ENABLED": "0"}


def _node_folder(folder: Path, name: str) -> Path:
    """What the node has beforehand: Python with all packages but this one, so that setting it up downloads nothing."""
    own = folder / name
    home, venv = own / "home", own / "home" / "rlx2-venv"
    home.mkdir(parents=True)
    (own / "ray").mkdir()
    (home / ".bashrc").touch()
    shutil.copyfile(folder / "client" / "key.pub", own / "authorized_keys")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(own / "host_key")], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    packages = {path for path in (*site.getsitepackages(), *sys.path) if path.endswith("site-packages")}
    (site_packages,) = venv.glob("lib/python*/site-packages")
    (site_packages / "packages.pth").write_text("\n".join(sorted(packages)) + "\n")
    _write_ray_script(venv / "bin" / "ray", venv / "bin" / "python")
    return own


def _write_ray_script(script: Path, python: Path) -> None:
    script.parent.mkdir(exist_ok=True)
    script.write_text(RAY_SCRIPT.format(python=python))
    script.chmod(0o755)


@contextmanager
def _node(name: str, folder: Path, hosts: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = Path(__file__).with_name("node.sh")
    command = (*NAMESPACES, "--kill-child", "bash", str(script), name, ADDRESSES[name], str(folder), str(hosts))
    with (folder / "sshd.log").open("wb") as log, _running(*command, log=log) as process:
        yield process


@contextmanager
def _running(*command: str, log: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """It ends with this process too, however that ends."""
    whole = ("setpriv", "--pdeathsig", "KILL", *command)
    process = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_network_of(process: subprocess.Popen[bytes]) -> None:
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 10
    while os.readlink(f"/proc/{process.pid}/ns/net") == own:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _in_network(process: subprocess.Popen[bytes], *commands: str) -> None:
    for command in commands:
        subprocess.run([*_inside(process.pid), "ip", *command.split()], check=True)


def _inside(pid: int) -> list[str]:
    return ["nsenter", f"--target={pid}", "--net", "--"]

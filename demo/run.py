#!/usr/bin/env python3
"""make demo: MySQL with replicas and both apps on this machine, run from kubernetes/*.yaml without a cluster.

    run.py [--folder FOLDER] [--manifests FOLDER]      start it; Ctrl-C or SIGTERM stops it
    run.py --check                                     only say what keeps it from starting, if anything does
    run.py --clean                                     delete its data and the MySQL that it downloaded

Environment: REPLICAS (MySQL pods, by default the manifest's), WRITE_PORT and READ_PORT (by default 30000 and 30001).

How it works: this process makes its own namespaces (processes, mounts, network), and in them honcho runs a kubelet
for each pod (kubelet.py), the DNS server (names.py), and HAProxy in the role of kube-proxy (proxy.py). Seen from
outside there is one process and two open ports. When it ends, however it ends, the kernel ends all the rest.
"""

import argparse
import ctypes
import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HERE = PROJECT / "demo"
MYSQL_ROOT = PROJECT / ".cache" / "mysql-root"
OLDEST_MYSQL = (8, 4)
SPACE_TO_DOWNLOAD, SPACE_FOR_A_SERVER, SPACE_TO_RUN = 1000, 250, 100  # MB

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal

# From linux/sched.h and linux/prctl.h.
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP, IFF_RUNNING = 0x8914, 0x8916, 0x1, 0x40  # linux/sockios.h and linux/if.h
LIBC = ctypes.CDLL(None, use_errno=True)


def main():
    """Check the conditions, then run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".demo", help="where the data is kept (.demo)")
    parser.add_argument("--manifests", type=Path, default=PROJECT / "kubernetes", help="the YAML files (kubernetes)")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--clean", action="store_true")
    arguments = parser.parse_args()
    check_rights()
    for signum in STOPS:
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    lock = lock_folder(arguments.folder)
    if arguments.clean:
        shutil.rmtree(arguments.folder)
        shutil.rmtree(MYSQL_ROOT, ignore_errors=True)
        return
    replicas = number("REPLICAS", 0, 9)
    ports = [number("WRITE_PORT", 1, 65535, 30000), number("READ_PORT", 1, 65535, 30001)]
    check_ports(ports)
    root = mysql_here() or MYSQL_ROOT
    if not (root.exists() or shutil.which("apt-get")):
        fail("install MySQL 8.4 or newer (mysqld, mysql) and HAProxy; only Debian and Ubuntu can download them.")
    if arguments.check:
        return
    if not root.exists():
        download_mysql()
    new_servers = max(replicas, 2) - len(list(arguments.folder.glob("data/mysql-*/data")))
    check_space(arguments.folder, SPACE_TO_RUN + SPACE_FOR_A_SERVER * max(new_servers, 0), "MySQL's data")
    (arguments.folder / "stopped").mkdir(exist_ok=True)
    sys.exit(run(arguments, root, replicas, lock))


# -- the conditions, checked before anything starts


def fail(sentence):
    """End with status 1 and a sentence."""
    sys.exit(f"make demo: {sentence}")


def number(name, lowest, highest, default=0):
    """An environment variable that must be a whole number."""
    text = os.environ.get(name) or str(default)
    if not (text.isdecimal() and lowest <= int(text) <= highest):
        fail(f"{name}={text} is not a number from {lowest} to {highest}.")
    os.environ[name] = text
    return int(text)


def lock_folder(folder):
    """Return the open, locked file pid: only one demo runs in a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "pid", "a+")  # noqa: SIM115 - it stays open, and so locked, until the end
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fail(f"it already runs with the data in {folder}. Stop it first (Ctrl-C in its terminal).")
    except OSError as error:
        fail(f"{folder} cannot be written: {error.strerror}.")
    return lock


def check_rights():
    """Fail unless this is Linux and root."""
    if sys.platform != "linux":
        fail("it needs Linux. Elsewhere, run the demo on kind, minikube or another Kubernetes: see README.md.")
    if os.geteuid() != 0:
        fail("it needs root, to make its own network and mount namespaces. Run: sudo make demo")


def check_ports(ports):
    """Fail if another program listens on one of the ports."""
    for port in ports:
        with socket.socket() as test:
            test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                test.bind(("127.0.0.1", port))
            except OSError:
                fail(
                    f"port {port} is in use. Stop the program that has it, or choose others: "
                    "make demo WRITE_PORT=31000 READ_PORT=31001"
                )


def check_space(folder, needed, what):
    """Fail unless `needed` MB are free in the file system of `folder`."""
    free = shutil.disk_usage(folder).free >> 20
    if free < needed:
        fail(f"{what} needs {needed} MB in {folder}, and {free} MB are free. Free some space, then run it again.")


def mysql_here():
    """The root folder if this machine has mysqld and haproxy, new enough."""
    found = shutil.which("mysqld") and shutil.which("mysql")
    if found:
        text = subprocess.run(["mysqld", "--version"], capture_output=True, text=True).stdout
        version = re.search(r"Ver (\d+)\.(\d+)", text)
        found = version and "MariaDB" not in text and tuple(map(int, version.groups())) >= OLDEST_MYSQL
    if found and shutil.which("haproxy"):
        return Path("/")
    return None


def download_mysql():
    """Make a file system with mysqld and haproxy for the demo alone."""
    MYSQL_ROOT.parent.mkdir(exist_ok=True)
    check_space(MYSQL_ROOT.parent, SPACE_TO_DOWNLOAD, "MySQL")
    command = [HERE / "mysql-root", MYSQL_ROOT, "mysql-server-core", "mysql-client-core", "haproxy"]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        status = process.wait()
    except SystemExit:  # told to stop: the script says so, cleans up and ends
        process.terminate()
        process.wait()
        raise
    if status:
        fail(
            "MySQL could not be downloaded, see above: is the network there, and space on the disk "
            f"({shutil.disk_usage(PROJECT).free >> 20} MB are free)? Nothing was left behind; run it again."
        )


# -- running


def run(arguments, root, replicas, lock):
    """Run everything in new namespaces until it ends. Returns the exit status."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # if make is killed, this ends as well
    # The first process of a process namespace must be a new one, so this one waits for it.
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0:
        fail(
            f"this machine does not allow namespaces ({os.strerror(ctypes.get_errno())}). "
            "In a container, it needs to be privileged."
        )
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()  # Ctrl-C reaches only the waiting process, which passes it on once
        prepare_namespaces(root, arguments.manifests)
        os._exit(supervise(arguments, replicas))
    lock.truncate(0)
    lock.write(f"{child}\n")
    lock.flush()
    told = []

    def stop(signum, _):
        told.append(signum)
        os.kill(child, signal.SIGTERM)

    for signum in STOPS:
        signal.signal(signum, stop)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if told:
        print("make demo: stopped. The data is kept; make demo starts it again.", flush=True)
        return 128 + told[0]
    print("make demo: stopped because one of its parts ended, see above.", file=sys.stderr, flush=True)
    return status or 1


def prepare_namespaces(root, manifests):
    """As the first process of the new namespaces: what its children see of this machine."""

    def mount(*arguments):
        subprocess.run(["mount", *map(str, arguments)], check=True)

    from manifests import Manifests
    from names import ADDRESS, DOMAIN, NODE_DOMAIN

    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("demo", "root", "etc/upper", "etc/work", "netns"):
        Path("/run", folder).mkdir(parents=True)
    mount("--bind", root, "/run/root")
    # HAProxy binds the node ports in the machine's own network, and everything else is in a new one.
    Path("/run/netns/machine").touch()
    mount("--bind", "/proc/self/ns/net", "/run/netns/machine")
    LIBC.unshare(CLONE_NEWNET)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
        # A second address: without any but 127.0.0.1, getaddrinfo(AI_ADDRCONFIG) takes the machine for unconnected.
        address = struct.pack("16shH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("127.0.1.0"))
        fcntl.ioctl(any_socket, SIOCSIFADDR, address)
    # Names are looked up as in a pod. Files on top of /etc, because resolv.conf may be a link to nowhere.
    mount("-t", "overlay", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work", "overlay", "/etc")
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    pod = Manifests(manifests).pods[0].spec
    options = " ".join(f"{each['name']}:{each['value']}" for each in pod["dnsConfig"]["options"])
    search = " ".join([*(DOMAIN.split(".", skip)[skip] for skip in (0, 1, 2)), NODE_DOMAIN])
    Path("/etc/resolv.conf").write_text(f"nameserver {ADDRESS}\nsearch {search}\noptions ndots:5 {options}\n")
    Path("/etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def supervise(arguments, replicas):
    """Run all parts with honcho until one ends or SIGTERM comes; the exit status."""
    import honcho.manager

    from manifests import Manifests

    manifests = Manifests(arguments.manifests, replicas)
    os.environ["VIRTUAL_ENV"] = sys.prefix
    honcho.manager.KILL_WAIT = 20  # seconds: mysqld shuts down cleanly
    manager = honcho.manager.Manager()

    def add(name, *command):
        manager.add_process(name, shlex.join([sys.executable, *map(str, command)]))

    add("dns", HERE / "names.py", arguments.folder, arguments.manifests, replicas)
    add("proxy", HERE / "proxy.py", arguments.manifests, replicas)
    for pod in manifests.pods:
        add(pod.name, HERE / "kubelet.py", arguments.folder, arguments.manifests, replicas, pod.name)
    add("demo", HERE / "announce.py", arguments.folder, arguments.manifests, replicas)
    manager.loop()
    return manager.returncode


if __name__ == "__main__":
    main()

"""The demo's kubelet: keeps one pod of the manifests running, as a cluster's kubelet does.

    kubelet.py FOLDER MANIFESTS REPLICAS POD

Init containers run when the pod is made, its container is started again whenever it ends. Volumes of the kinds
emptyDir, configMap and secret are made with the pod; a claim's data stays in FOLDER/data/POD. Probes are the
manifest's. While FOLDER/stopped/POD exists there is no such pod, as if the StatefulSet had been scaled down.
Left out: limits of memory and CPU, and long pauses between restarts.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import container as containers
from manifests import Manifests, port_number

PROJECT = Path(__file__).resolve().parent.parent
STATE = Path("/run/demo")  # in memory, and gone with the demo's namespaces
AGENT_PORT = 10  # of the pod's address: sends "up" or "down" to each client that connects
MOST_GRACE = 15  # seconds that a container gets to end when all of the demo ends
LONGEST_PAUSE = 5  # seconds between two starts of a container that keeps ending


def say(text):
    """Print a line into the pod's log."""
    print(f"kubelet: {text}", flush=True)


class Probe:
    """One probe of the manifest: when it is due, and how often in a row it failed."""

    def __init__(self, spec):
        self.spec, self.failures, self.succeeded, self.due = spec, 0, False, 0.0

    def run(self, check):
        """Run the probe if it is due; True if it has failed as often as is allowed."""
        if time.monotonic() < self.due:
            return False
        if check(self.spec, self.spec.get("timeoutSeconds", 1)):
            self.failures, self.succeeded = 0, True
        else:
            self.failures += 1
        self.due = time.monotonic() + self.spec.get("periodSeconds", 10)
        return self.failures >= self.spec.get("failureThreshold", 3)


class Kubelet:
    """Runs one pod until the process is told to stop."""

    def __init__(self, folder, manifests, name):
        self.folder, self.manifests, self.pod = Path(folder).resolve(), manifests, manifests.pod(name)
        self.volumes = STATE / "pods" / name
        self.uid = self.pod.spec["securityContext"]["runAsUser"]
        self.process = None
        self.ready = False
        self.ending = False

    # -- the pod

    def run(self):
        """Create the pod and keep it running, without end. Delete it while the file `stopped` exists."""
        stopped = self.folder / "stopped" / self.pod.name
        while not self.ending:
            if not stopped.exists() and self.predecessor_is_ready():
                self.make_volumes()
                (STATE / "names").mkdir(exist_ok=True)
                (STATE / "names" / self.pod.name).touch()
                watcher = threading.Thread(target=self.stop_when, args=[stopped], daemon=True)
                self.exists = True
                watcher.start()
                self.run_containers()
                watcher.join()
                (STATE / "names" / self.pod.name).unlink()
                shutil.rmtree(self.volumes)
            time.sleep(0.2)

    def predecessor_is_ready(self):
        """May the pod be created?"""
        return not self.pod.follows or is_ready(self.manifests.pod(self.pod.follows))

    def stop_when(self, stopped):
        """End the pod when the file `stopped` appears, or when all of the demo ends."""
        while not stopped.exists() and not self.ending:
            time.sleep(0.2)
        self.exists = False
        self.terminate()

    def make_volumes(self):
        """Create the pod's volumes, and the folder of its claim if it does not exist yet."""
        shutil.rmtree(self.volumes, ignore_errors=True)
        if self.pod.claims:
            data = self.folder / "data" / self.pod.name
            data.mkdir(parents=True, exist_ok=True)
            os.chown(data, self.uid, self.uid)
        for volume in self.pod.spec.get("volumes", []):
            folder = self.volumes / volume["name"]
            folder.mkdir(parents=True)
            os.chown(folder, self.uid, self.uid)
            if "configMap" in volume:
                files = self.manifests.files_of("ConfigMap", volume["configMap"]["name"])
            elif "secret" in volume:
                files = self.manifests.files_of("Secret", volume["secret"]["secretName"]) or {}
            else:
                files = {}
            for key, text in files.items():
                (folder / key).write_text(text)

    # -- its containers

    def run_containers(self):
        """Run the init containers until each has succeeded, then the container, again and again."""
        for spec in self.pod.spec.get("initContainers", []):
            self.run_container(spec, until=lambda status: status == 0)
        self.run_container(self.pod.spec["containers"][0], until=lambda status: False)

    def run_container(self, spec, until):
        """Run a container again and again, until its status is what `until` wants or the pod is to end."""
        pause = 0
        while self.exists:
            started = time.monotonic()
            self.process = subprocess.Popen(**self.command(spec))
            probing = threading.Thread(target=self.probe, args=[spec, self.process], daemon=True)
            probing.start()
            status = self.process.wait()
            self.ready = False
            probing.join()
            if until(status) or not self.exists:
                return
            if time.monotonic() - started > 10:
                pause = 0
            say(f"the container {spec['name']} ended with status {status}; starting it again in {pause} s")
            time.sleep(pause)
            pause = min(2 * pause or 1, LONGEST_PAUSE)

    def command(self, spec):
        """What starts the container, as arguments of subprocess.Popen."""
        environment = self.manifests.environment(spec, self.pod) | {"HOSTNAME": self.pod.name}
        source = PROJECT / spec["image"].partition(":")[0]
        if (source / "Dockerfile").exists():  # an app of this project
            scratch = self.volumes / "tmp"
            environment |= {
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "VERSION": spec["image"].partition(":")[2],
                "WRITE_PORT": os.environ["WRITE_PORT"],
                "READ_PORT": os.environ["READ_PORT"],
                # In a cluster, every pod has its own network; here they share one.
                "BIND": self.pod.address,
            }
            command = containers.in_tree(self.pod.name, self.uid, spec.get("command") or image_command(source))
            return {"args": [*containers.ISOLATED, *command], "cwd": source, "env": containers.environment(environment)}
        self.bind_mysqld()
        mounts = {
            self.folder / "data" / self.pod.name
            if mount["name"] in self.pod.claims
            else self.volumes / mount["name"]: mount["mountPath"]
            for mount in spec["volumeMounts"]
        }
        command = containers.in_image(self.pod.name, self.uid, mounts, spec["command"])
        return {"args": [*containers.ISOLATED, *command], "cwd": "/", "env": containers.environment(environment)}

    def bind_mysqld(self):
        """Write the only setting of MySQL that is not in the manifests, for the same reason."""
        (self.volumes / "config" / "demo.cnf").write_text(f"[mysqld]\nbind_address = {self.pod.address}\n")

    def terminate(self):
        """SIGTERM to the container's first process, SIGKILL when the grace period is over."""
        process = self.process
        if process and process.poll() is None:
            send(containers.first_process(process.pid), signal.SIGTERM)
            try:
                process.wait(MOST_GRACE if self.ending else self.pod.spec.get("terminationGracePeriodSeconds", 30))
            except subprocess.TimeoutExpired:
                process.kill()

    # -- its probes

    def probe(self, spec, process):
        """Run the container's probes while it runs: they set `ready`, and end a container that is not alive."""
        startup, readiness, liveness = (
            Probe(spec[f"{kind}Probe"]) if f"{kind}Probe" in spec else None
            for kind in ("startup", "readiness", "liveness")
        )
        (STATE / "pids").mkdir(exist_ok=True)
        pid_file = STATE / "pids" / self.pod.name

        def check(probe, timeout):
            return self.check(probe, timeout, containers.first_process(process.pid), spec)

        while process.poll() is None:
            if pid := containers.first_process(process.pid):
                pid_file.write_text(f"{pid} {self.uid}\n")
            if startup and not startup.succeeded:
                failed = startup.run(check)
            else:
                if readiness:
                    if readiness.run(check):
                        self.ready = False
                    elif not readiness.failures:
                        self.ready = self.exists and process.poll() is None
                failed = liveness and liveness.run(check)
            if failed:
                say("the liveness probe failed: ending the container")
                process.kill()
            time.sleep(0.2)
        pid_file.unlink(missing_ok=True)

    def check(self, probe, timeout, pid, spec):
        """One try of one probe: True if it succeeded within `timeout` seconds."""
        try:
            if "exec" in probe:
                command = containers.inside(pid, self.uid, probe["exec"]["command"])
                return pid and not subprocess.run(command, timeout=timeout, capture_output=True).returncode
            port = port_number(spec, probe["httpGet"]["port"])
            url = f"http://{self.pod.address}:{port}{probe['httpGet']['path']}"
            return urllib.request.urlopen(url, timeout=timeout).status < 400
        except (OSError, subprocess.TimeoutExpired):  # refused, not 2xx, too slow
            return False


def image_command(source):
    """The command of an app's image: CMD of its Dockerfile."""
    return json.loads(re.findall(r"^CMD\s+(\[.*\])", (source / "Dockerfile").read_text(), re.MULTILINE)[-1])


def send(pid, number):
    """Send a signal; a process that is already gone is fine."""
    try:
        if pid:
            os.kill(pid, number)
    except ProcessLookupError:
        pass


def is_ready(pod):
    """What the kubelet of another pod says about that pod."""
    try:
        with socket.create_connection((pod.address, AGENT_PORT), timeout=1) as connection:
            return connection.recv(16).startswith(b"up")
    except OSError:
        return False


def main(folder, manifests, replicas, name):
    """Keep the pod `name` running, and tell each client that connects whether it is ready."""
    kubelet = Kubelet(folder, Manifests(manifests, int(replicas)), name)

    class Agent(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):  # the client did not wait for the answer
                self.request.sendall(b"up\n" if kubelet.ready else b"down\n")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    agent = socketserver.ThreadingTCPServer((kubelet.pod.address, AGENT_PORT), Agent)
    threading.Thread(target=agent.serve_forever, daemon=True).start()

    def end(*_):
        kubelet.ending = True

    signal.signal(signal.SIGTERM, end)
    kubelet.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The demo's kube-proxy: writes HAProxy's configuration for the manifests' Services, then becomes HAProxy.

Every new connection to a Service goes to one of its ready pods. Whether a pod is ready, HAProxy asks its kubelet
(an "agent check"); the address of a Service is on the demo's own network, its node port on the machine's loopback.
"""

import os
import sys

from container import environment, in_image
from kubelet import AGENT_PORT, STATE
from manifests import Manifests

HEADER = """\
global
    log stdout format raw local0 notice
    maxconn 4000
    # After the ports are bound, HAProxy runs as the user nobody.
    uid 65534
    gid 65534
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    # A pod that refuses the connection has just ended: try the others.
    retries 3
    option redispatch 1
    default-server agent-check agent-port {agent_port} agent-inter 300ms
"""


def configuration(manifests, node_ports):
    """haproxy.cfg as text; node_ports overrides the manifests' node ports, {name of a Service: port}."""
    lines = [HEADER.format(agent_port=AGENT_PORT)]
    for service in manifests.services:
        if service.headless:
            continue
        lines += [f"listen {service.name}", "    balance random", f"    bind {service.address}:{service.port}"]
        if service.node_port:
            port = node_ports.get(service.name, service.node_port)
            lines.append(f"    bind 127.0.0.1:{port} namespace machine")
        lines += [
            f"    server {pod.name} {pod.address}:{service.target_port} agent-addr {pod.address}"
            for pod in service.pods
        ]
    return "\n".join(lines) + "\n"


def main(manifests, replicas):
    """Write the configuration and become HAProxy."""
    ports = {"write-app": int(os.environ["WRITE_PORT"]), "read-app": int(os.environ["READ_PORT"])}
    folder = STATE / "proxy"
    folder.mkdir()
    (folder / "haproxy.cfg").write_text(configuration(Manifests(manifests, int(replicas)), ports))
    command = ["haproxy", "-q", "-f", "/proxy/haproxy.cfg"]
    container = in_image("proxy", 0, {folder: "/proxy", "/run/netns": "/run/netns"}, command)
    # No PID namespace: there it would be the first process, which ignores a SIGTERM that it does not handle.
    os.execvpe("unshare", ["unshare", "--uts", "--mount", *container], environment({}))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])

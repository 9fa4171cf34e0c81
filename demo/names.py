"""The demo's DNS server: answers for the names that CoreDNS would serve in a cluster.

A name outside cluster.local does not exist, unless a test says otherwise: the file FOLDER/outside-names may contain
SERVFAIL or REFUSED (the answer to each such name), nothing (there is no answer), or wildcard (each name under
`corp.example`, a search domain as a cluster's node may have, has an address at which no server listens).

A Service with a cluster address has an A record; a headless one has those of its pods, a name for each pod, and SRV
records for its named port. A pod has a name as long as it exists, ready or not (publishNotReadyAddresses), which
is as long as its kubelet keeps a file for it in the folder `pods`.

    names.py FOLDER MANIFESTS REPLICAS
"""

import sys
import time
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, SRV, A, DNSError
from dnslib.server import BaseResolver, DNSServer

from kubelet import STATE
from manifests import Manifests

ADDRESS = "127.0.0.53"
DOMAIN = "default.svc.cluster.local"
NODE_DOMAIN = "corp.example"  # in a pod, the search domains of its node follow those of the cluster
NO_SERVER = "127.0.3.1"
TTL = 5  # seconds, CoreDNS's default


class Names(BaseResolver):
    """Answers a request from the manifests' Services and the pods that exist now."""

    def __init__(self, manifests, pods, outside):
        self.manifests, self.pods, self.outside = manifests, Path(pods), Path(outside)

    def records(self):
        """All records at this moment: {name: [RR, ...]}."""
        records = {}

        def add(name, kind, data):
            records.setdefault(f"{name}.{DOMAIN}.", []).append(RR(f"{name}.{DOMAIN}.", kind, ttl=TTL, rdata=data))

        for service in self.manifests.services:
            srv = f"_{service.port_name}._tcp.{service.name}"
            if not service.headless:
                add(service.name, QTYPE.A, A(service.address))
                add(srv, QTYPE.SRV, SRV(0, 100, service.port, f"{service.name}.{DOMAIN}."))
                continue
            for pod in service.pods:
                if (self.pods / pod.name).exists():
                    add(service.name, QTYPE.A, A(pod.address))
                    add(f"{pod.name}.{service.name}", QTYPE.A, A(pod.address))
                    add(srv, QTYPE.SRV, SRV(0, 100, service.port, f"{pod.name}.{service.name}.{DOMAIN}."))
        return records

    def resolve(self, request, handler):
        """The reply to one request; a name without a record of the wanted type gets an empty answer, not an error."""
        reply, records = request.reply(), self.records()
        name = str(request.q.qname).lower()
        if not name.endswith(".cluster.local."):
            return self.resolve_outside(name, reply)
        found = records.get(name, [])
        reply.add_answer(*(record for record in found if request.q.qtype in (record.rtype, QTYPE.ANY)))
        for record in reply.rr:
            if record.rtype == QTYPE.SRV:
                reply.add_ar(*records.get(str(record.rdata.target), []))
        # "mysql.default..." exists even if it has no record itself, because names below it do.
        if not found and not any(other.endswith(f".{name}") for other in records):
            reply.header.rcode = RCODE.NXDOMAIN
        reply.header.aa = True
        return reply

    def resolve_outside(self, name, reply):
        """The reply for a name that is not the cluster's; DNSError if there is none."""
        answer = self.outside.read_text().strip() if self.outside.exists() else "NXDOMAIN"
        if answer == "nothing":
            raise DNSError(f"no answer for {name}")
        if answer == "wildcard":
            if name.endswith(f".{NODE_DOMAIN}."):
                reply.add_answer(RR(name, QTYPE.A, ttl=TTL, rdata=A(NO_SERVER)))
                return reply
            answer = "NXDOMAIN"
        reply.header.rcode = getattr(RCODE, answer)
        return reply


def main(folder, manifests, replicas):
    """Serve on port 53 of ADDRESS, over UDP and TCP, until killed."""
    names = Names(Manifests(manifests, int(replicas)), STATE / "names", Path(folder) / "outside-names")
    for tcp in (False, True):
        DNSServer(names, address=ADDRESS, port=53, tcp=tcp, logger=Silent()).start_thread()
    while True:
        time.sleep(3600)


class Silent:
    """A logger that drops everything: one line for each query would be too many."""

    def __getattr__(self, name):
        return lambda *args: None


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What DNS says inside the pod."""

from concurrent.futures import ThreadPoolExecutor

import dns.exception
import dns.resolver

import settings

TIMEOUT = 1.0  # seconds for a name
threads = ThreadPoolExecutor(8, "dns")


def mysql_pods():
    """Return the names of the MySQL pods, such as mysql-0, in order: those for which the headless Service has a record.

    It publishes pods that are not ready, too. Raises dns.exception.DNSException.
    """
    answer = look_up(f"_mysql._tcp.{settings.MYSQL_SERVICE}", "SRV")
    pods = {record.target.labels[0].decode() for record in answer}
    return sorted(pods, key=lambda pod: (len(pod), pod))


def table():
    """Return what the names of the demo resolve to: a dictionary for each, with a sentence if it does not resolve."""
    try:
        pods = mysql_pods()
    except dns.exception.DNSException:
        pods = ["mysql-0", "mysql-1"]
    names = [settings.MYSQL_SERVICE, *(f"{pod}.{settings.MYSQL_SERVICE}" for pod in pods), settings.DB_HOST]
    return list(threads.map(resolve, names))


def resolve(name):
    """Return {"name", "full_name", "addresses", "error"} of one name."""
    try:
        answer = look_up(name, "A")
    except dns.resolver.NXDOMAIN:
        return {"name": name, "full_name": None, "addresses": [], "error": "There is no such name."}
    except dns.resolver.NoAnswer:
        return {"name": name, "full_name": None, "addresses": [], "error": "The name has no address: no pod is there."}
    except (dns.exception.DNSException, OSError):
        return {"name": name, "full_name": None, "addresses": [], "error": "DNS does not answer."}
    addresses = sorted(record.address for record in answer)
    return {"name": name, "full_name": answer.qname.to_text(omit_final_dot=True), "addresses": addresses, "error": None}


def look_up(name, kind):
    """Ask DNS, with the pod's search domains."""
    return dns.resolver.Resolver().resolve(name, kind, search=True, lifetime=TIMEOUT)

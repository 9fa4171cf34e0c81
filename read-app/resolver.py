"""What DNS answers inside this pod."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.exception
import dns.resolver

import settings

TIMEOUT = 1.0  # seconds for a name
NO_NAME, NO_ADDRESS = "There is no such name.", "The name has no address: no pod is there."
SENTENCES: dict[type, str] = {dns.resolver.NXDOMAIN: NO_NAME, dns.resolver.NoAnswer: NO_ADDRESS}
threads = ThreadPoolExecutor(8, "dns")
resolver = dns.resolver.Resolver()


def mysql_pods() -> list[str]:
    """Return the names of the MySQL pods, such as mysql-0, in order: those for which the headless Service has a record.

    It publishes pods that are not ready, too. Raises dns.exception.DNSException.
    """
    answer = resolver.resolve(f"_mysql._tcp.{settings.MYSQL_SERVICE}", "SRV", search=True, lifetime=TIMEOUT)
    pods = {record.target.labels[0].decode() for record in answer}
    return sorted(pods, key=lambda pod: (len(pod), pod))


def table(pods: list[str]) -> list[dict[str, Any]]:
    """Return what the names of the demo resolve to: a dictionary for each, with a sentence if it does not resolve."""
    names = [settings.MYSQL_SERVICE, *(f"{pod}.{settings.MYSQL_SERVICE}" for pod in pods), settings.DB_HOST]
    return list(threads.map(resolve, names))


def resolve(name: str) -> dict[str, Any]:
    """Return {"name", "full_name", "addresses", "error"} of one name: its A and AAAA records."""
    entry: dict[str, Any] = {"name": name, "full_name": None, "addresses": [], "error": None}
    try:
        answer = resolver.resolve_name(name, search=True, lifetime=TIMEOUT)
    except (dns.exception.DNSException, OSError) as error:
        return entry | {"error": SENTENCES.get(type(error), "DNS does not answer.")}
    full_name = next(iter(answer.values())).canonical_name.to_text(omit_final_dot=True)
    return entry | {"full_name": full_name, "addresses": sorted(answer.addresses())}

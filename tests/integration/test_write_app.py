"""write-app with its database: what is stored, and what its answer promises."""

import concurrent.futures
import itertools
import socket
import time

import pytest
import requests

from running_demo import wait_until

number = itertools.count(int(time.time() * 1000))


def email():
    """An address that nobody has registered."""
    return f"user{next(number)}@example.org"


def submit(demo, **fields):
    return requests.post(f"{demo.write_url}/submit", json={"name": "Ann", "email": email()} | fields, timeout=20)


def stored(demo, user_id):
    """Name and email of a user, as MySQL has them."""
    rows = demo.sql(0, f"SELECT HEX(name), HEX(email) FROM userdb.users WHERE id = {user_id}")
    return [bytes.fromhex(value).decode() for value in rows[0]]


def test_answer_says_who_wrote_it(demo):
    answer = submit(demo)
    assert answer.status_code == 201
    user = answer.json()
    assert user["success"] is True
    assert user["mysql_pod"] == "mysql-0"
    assert user["app_pod"].startswith("write-app")


@pytest.mark.parametrize("kind", ["json", "data", "files"])
def test_json_and_both_kinds_of_form(demo, kind):
    fields = {"name": "Zoë 😀", "email": email()}
    sent = {name: (None, value) for name, value in fields.items()} if kind == "files" else fields
    answer = requests.post(f"{demo.write_url}/submit", **{kind: sent}, timeout=20)
    assert answer.status_code == 201
    assert stored(demo, answer.json()["id"]) == list(fields.values())


@pytest.mark.parametrize(
    "name",
    ["x" * 100, "😀" * 100, "O'Brien", "Zoe\u0308", "Zoë", "山田 太郎", "שלום", "👩\u200d👩\u200d👧",
     "<script>alert(1)</script>", "&lt;", "'); DROP TABLE users; --", '" OR 1=1 #',
     "%s %d %%", "\\' \\n \\", "{{ 7 * 7 }}", " Ann ", "NULL", "\ufeffx"],
)  # fmt: skip
def test_text_is_stored_and_returned_exactly(demo, name):
    user = submit(demo, name=name).json()
    assert stored(demo, user["id"])[0] == name
    query = {"limit": 1, "before": user["id"] + 1, "after": user["gtid"]}
    read = requests.get(f"{demo.read_url}/users", query, timeout=20).json()
    assert read["users"][0]["name"] == name


@pytest.mark.parametrize("again", [str, str.upper, str.title])
def test_an_email_address_is_registered_once(demo, again):
    address = email()
    assert submit(demo, email=address).status_code == 201
    answer = submit(demo, email=again(address))
    assert answer.status_code == 409
    assert answer.json()["success"] is False
    assert list(answer.json()["errors"]) == ["email"]


def test_accents_make_another_address(demo):
    local = f"jose{next(number)}"
    assert submit(demo, email=f"{local}@example.org").status_code == 201
    assert submit(demo, email=f"{local.replace('e', 'é', 1)}@example.org").status_code == 201


def test_the_same_request_at_the_same_time_is_written_once(demo):
    address = email()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: submit(demo, email=address).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7


def test_gtid_is_that_of_the_transaction(demo):
    first, second = submit(demo).json()["gtid"], submit(demo).json()["gtid"]
    assert first != second
    for server in (0, 1):
        query = f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{first},{second}', 10)"
        assert demo.sql(server, query) == [["0"]]


def test_replicated_is_true_with_a_replica(demo):
    wait_until(lambda: submit(demo).json()["replicated"], 30, "no write was replicated")
    assert submit(demo).json()["replicated"] is True


def test_replicated_is_true_on_every_connection_after_semi_sync_was_off_for_a_moment(demo):
    def eight_at_once():
        with concurrent.futures.ThreadPoolExecutor() as executor:
            return [answer.json()["replicated"] for answer in executor.map(lambda _: submit(demo), range(8))]

    wait_until(lambda: all(eight_at_once()), 30, "writes were not replicated")
    demo.sql(0, "SET GLOBAL rpl_semi_sync_source_enabled = OFF; SET GLOBAL rpl_semi_sync_source_enabled = ON")
    status = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME ="
    on = f"{status} 'Rpl_semi_sync_source_status'"
    wait_until(lambda: demo.sql(0, on) == [["ON"]], 10, "semi-sync did not come back")
    time.sleep(1.1)  # what is known of semi-sync is old now: that is the case in question
    assert eight_at_once() == [True] * 8


def test_replicated_is_never_true_while_the_replica_is_frozen(demo):
    demo.freeze(1)
    try:
        answers = [submit(demo) for _ in range(5)]
    finally:
        demo.unfreeze(1)
    assert [answer.status_code for answer in answers] == [201] * 5
    assert not any(answer.json()["replicated"] for answer in answers)
    wait_until(lambda: submit(demo).json()["replicated"], 60, "replication did not become semi-synchronous again")


def test_primary_away_and_back(demo):
    demo.kill(0)
    try:
        away = submit(demo)
        assert away.status_code in (201, 503)
        if away.status_code == 503:
            assert int(away.headers["Retry-After"]) > 0
    finally:
        demo.wait_until_ready(0)
    address = email()
    # The same request, sent until it is answered: written once.
    wait_until(lambda: submit(demo, email=address).status_code in (201, 409), 30, "no write succeeded")
    assert demo.sql(0, f"SELECT COUNT(*) FROM userdb.users WHERE email = '{address}'") == [["1"]]
    wait_until(lambda: demo.is_ready(1) and submit(demo).json().get("replicated"), 60, "the replica did not follow")


def test_slow_clients_do_not_occupy_the_service(demo):
    host, port = demo.write_url.removeprefix("http://").split(":")
    slow = []
    try:
        for _ in range(200):
            slow.append(socket.create_connection((host, int(port)), 10))
            slow[-1].sendall(b"POST /submit HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        began = time.monotonic()
        assert requests.get(f"{demo.write_url}/healthz", timeout=10).status_code == 200
        assert submit(demo).status_code == 201
        assert time.monotonic() - began < 8
    finally:
        for connection in slow:
            connection.close()


def test_header_flood_is_refused(demo):
    many = {f"X-{n}": "x" for n in range(200)}
    assert requests.get(demo.write_url, headers=many, timeout=10).status_code in (400, 431)
    assert requests.get(demo.write_url, headers={"X": "x" * 20000}, timeout=10).status_code in (400, 431)

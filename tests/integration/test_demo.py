"""make demo: both pages answer, and it goes on when servers are killed, frozen or taken away."""

import time

import requests

from running_demo import wait_until


def register(demo, email):
    return requests.post(f"{demo.write_url}/submit", json={"name": "Ada", "email": email}, timeout=20)


def answering(demo):
    """The MySQL pod that answers a read."""
    answer = requests.get(f"{demo.read_url}/mysql-pod", timeout=20)
    assert answer.ok, answer.text
    return answer.json()["mysql_pod"]


def wait_until_answering(demo, expected, seconds=30):
    """Wait until reads come from exactly the `expected` MySQL pods."""
    wait_until(lambda: {answering(demo) for _ in range(20)} == expected, seconds, f"reads do not come from {expected}")


def test_user_registered_on_one_page_is_on_the_other(demo):
    assert register(demo, "ada@example.com").status_code == 201
    wait_until(
        lambda: "ada@example.com" in requests.get(f"{demo.read_url}/users", timeout=10).text, 5, "the user was not read"
    )


def test_reads_come_from_both_servers(demo):
    wait_until_answering(demo, {"mysql-0", "mysql-1"})


def test_names_resolve_as_in_a_cluster(demo):
    def addresses(name):
        lines = demo.exec("mysql-1", "getent", "ahostsv4", name).splitlines()
        return {line.split()[0] for line in lines}

    primary, replica = addresses("mysql-0.mysql"), addresses("mysql-1.mysql.default.svc.cluster.local")
    assert len(primary) == len(replica) == 1
    assert addresses("mysql") == primary | replica
    assert addresses("mysql-read").isdisjoint(primary | replica)


def test_pod_that_does_not_exist_has_no_name(demo):
    # getent ends with 2 when the name does not exist
    assert "2" in demo.exec("mysql-1", "bash", "-c", "getent ahostsv4 mysql-5.mysql; echo $?")


def test_mysqld_runs_as_in_a_container(demo):
    assert demo.exec("mysql-1", "id", "-un").strip() == "mysql"
    assert demo.exec("mysql-1", "bash", "-c", "touch /usr/x 2>/dev/null || echo read-only").strip() == "read-only"
    assert demo.sql(1, "SELECT @@hostname, @@server_id, @@super_read_only") == [["mysql-1", "2", "1"]]


def test_killed_replica_comes_back_and_reads_go_on(demo):
    process = demo.sql(1, "SELECT @@pid_file, UUID()")
    assert process
    demo.kill(1)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert answering(demo) in ("mysql-0", "mysql-1")
    demo.wait_until_ready(1)
    assert register(demo, "after-replica@example.com").status_code == 201
    wait_until(
        lambda: demo.sql(1, "SELECT email FROM userdb.users WHERE email = 'after-replica@example.com'"),
        10,
        "the replica does not replicate after its restart",
    )
    wait_until_answering(demo, {"mysql-0", "mysql-1"})


def test_killed_primary_comes_back_and_reads_go_on(demo):
    assert register(demo, "before-primary@example.com").status_code == 201
    demo.kill(0)
    assert answering(demo) in ("mysql-0", "mysql-1")
    # A write may be answered 503 now; sent again, it goes in as soon as the primary is back.
    answer = register(demo, "after-primary@example.com")
    if answer.status_code != 201:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    wait_until(
        lambda: register(demo, "after-primary@example.com").status_code in (201, 409), 60, "writes do not work again"
    )
    emails = [row[0] for row in demo.sql(0, "SELECT email FROM userdb.users")]
    assert emails.count("before-primary@example.com") == emails.count("after-primary@example.com") == 1
    demo.wait_until_ready(0)
    wait_until_answering(demo, {"mysql-0", "mysql-1"})


def test_frozen_server_gets_no_reads_until_it_answers_again(demo):
    demo.freeze(1)
    try:
        wait_until_answering(demo, {"mysql-0"}, 60)
    finally:
        demo.unfreeze(1)
    demo.wait_until_ready(1)
    wait_until_answering(demo, {"mysql-0", "mysql-1"})


def test_removed_pod_catches_up_when_it_is_made_again(demo):
    demo.stop(1)
    try:
        wait_until_answering(demo, {"mysql-0"})
        assert register(demo, "while-away@example.com").status_code == 201
    finally:
        demo.start(1)
    demo.wait_until_ready(1)
    assert demo.sql(1, "SELECT COUNT(*) FROM userdb.users WHERE email = 'while-away@example.com'") == [["1"]]
    wait_until_answering(demo, {"mysql-0", "mysql-1"})

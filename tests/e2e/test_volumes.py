"""Whatever a volume or the configuration holds, the pod says what is wrong, or deals with it."""

import copy

import pytest
import yaml

from e2e.cluster import Deployment, eventually

SLOW = 120


@pytest.fixture
def single():
    """A namespace, and the objects of mysql-statefulset.yaml for a single pod with a volume of 400 MB in memory.

    The objects are in a dict by their kind, the two Services by their name.
    """
    made = Deployment("volume")
    try:
        found = list(yaml.safe_load_all(made.manifest("mysql-statefulset.yaml")))
        items = {item["metadata"]["name"] if item["kind"] == "Service" else item["kind"]: item for item in found}
        spec = items["StatefulSet"]["spec"]
        del spec["volumeClaimTemplates"]
        spec["replicas"] = 1
        pod = spec["template"]["spec"]
        pod["volumes"].append({"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "400Mi"}})
        pod["containers"][0]["env"] = [{"name": "SINGLE_POD", "value": "yes"}]
        for container in pod["initContainers"] + pod["containers"]:
            container["resources"]["limits"] = {"memory": "2Gi"}  # which the volume is counted against
        yield made, items, pod
    finally:
        made.remove()


def is_open(made: Deployment) -> bool:
    return made.sql("mysql-0", "SELECT @@read_only") == [["0"]]


def test_a_server_killed_on_a_full_volume_starts_so_that_a_person_can_free_space(single):
    made, items, _ = single
    made.apply_objects(list(items.values()))
    eventually(lambda: is_open(made), SLOW)
    made.kubectl(
        "exec", "mysql-0", "-c", "mysql", "--", "bash", "-c",
        "! head -c 1G /dev/zero >/var/lib/mysql/filler; kill -9 $(</var/run/mysqld/mysqld.pid)",
    )  # fmt: skip
    eventually(lambda: is_open(made), SLOW)
    made.sql("mysql-0", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")


def test_settings_that_count_at_initialization_take_effect_on_a_first_deploy(single):
    made, items, _ = single
    settings = items["ConfigMap"]["data"]
    settings["mysql.cnf"] += "lower_case_table_names = 1\ninnodb_page_size = 32k\n"
    made.apply_objects(list(items.values()))
    eventually(lambda: is_open(made), SLOW)
    assert made.sql("mysql-0", "SELECT @@lower_case_table_names, @@innodb_page_size") == [["1", "32768"]]


def refusal(made: Deployment, items: dict) -> str:
    """What the init container says when it has stopped."""
    made.apply_objects(list(items.values()))
    eventually(lambda: made.pods()["mysql-0"]["status"]["initContainerStatuses"][-1]["restartCount"] > 0, SLOW)
    return made.log("mysql-0", "prepare")


def test_files_of_another_program_on_the_volume_are_left_alone_and_named(single):
    made, items, pod = single
    before = copy.deepcopy(pod["initContainers"][0])
    before |= {"name": "before", "command": ["bash", "-c", "touch /var/lib/mysql/ibdata1"]}
    pod["initContainers"].insert(0, before)
    assert "files that this demo did not make, such as ./ibdata1" in refusal(made, items)


def test_another_uid_is_refused_with_the_way_out_for_openshift(single):
    made, items, pod = single
    pod["securityContext"]["runAsUser"] = 1000680000
    said = refusal(made, items)
    assert "must run as 999" in said
    assert "nonroot-v2" in said


def test_a_setting_that_mysqld_does_not_know_is_named(single):
    made, items, _ = single
    items["ConfigMap"]["data"]["mysql.cnf"] += "no_such_setting = 1\n"
    assert "no_such_setting" in refusal(made, items)


def test_a_replica_without_room_for_two_copies_is_refilled_and_asks_its_donor_before_it_deletes(single):
    made, items, _ = single
    items["StatefulSet"]["spec"]["replicas"] = 2
    made.apply_objects(list(items.values()))
    eventually(lambda: made.in_mysql_read() == {"mysql-0", "mysql-1"}, SLOW)
    # mysql-1 misses a transaction that mysql-0 then purges, and has no room for a second copy.
    fill = (
        "head -c $(($(df --output=avail -B1 /var/lib/mysql | tail -n 1) - 30000000)) /dev/zero >/var/lib/mysql/filler"
    )
    made.kubectl("exec", "mysql-1", "-c", "mysql", "--", "bash", "-c", fill)
    made.sql("mysql-1", "STOP REPLICA IO_THREAD")
    made.sql("mysql-0", "CREATE TABLE userdb.missed (id INT PRIMARY KEY)")
    made.sql("mysql-0", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    made.signal_mysqld("mysql-1", "KILL")
    eventually(lambda: "no room for two copies" in made.kubectl("logs", "mysql-1", "--previous"), SLOW)
    eventually(lambda: made.sql("mysql-1", "SHOW TABLES IN userdb LIKE 'missed'") == [["missed"]], SLOW)
    eventually(lambda: made.in_mysql_read() == {"mysql-0", "mysql-1"}, SLOW)

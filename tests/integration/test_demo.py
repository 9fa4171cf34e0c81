"""make demo: both pages answer, and the servers survive what happens to servers."""

import requests


def test_user_registered_on_one_page_is_on_the_other(demo):
    answer = requests.post(f"{demo.write_url}/submit", json={"name": "Ada", "email": "ada@example.com"}, timeout=10)
    assert answer.status_code == 201
    users = requests.get(f"{demo.read_url}/users", timeout=10).json()["users"]
    assert "ada@example.com" in [user["email"] for user in users]

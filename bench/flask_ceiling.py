"""For comparison: the ceiling's functions as routes of Flask, with nothing else: no app with Flask is faster.

gunicorn --config ../write-app/gunicorn.conf.py flask_ceiling:app, with the environment of read-app.
"""

import ceiling
from flask import Flask

app = Flask(__name__)
app.json.sort_keys = False
app.json.ensure_ascii = False


@app.get("/users")
def users():
    """The ceiling's users."""
    return answer(ceiling.users)


@app.get("/mysql-pod")
def mysql_pod():
    """The ceiling's identity."""
    return answer(ceiling.mysql_pod)


def answer(question):
    """Return JSON with the headers of both apps."""
    response = app.json.response(ceiling.with_connection(question))
    response.headers.extend(ceiling.HEADERS)
    return response

"""A Flask application, imported before there is a request: all of this, but for what the functions do."""

import random
import secrets
import uuid

from flask import Flask, render_template, request

app = Flask(__name__)


@app.get("/")
def hello():
    return render_template("hello.html", name=request.args.get("name", "world"))


@app.get("/random")
def numbers():
    """Others in each request, though all began in the same memory."""
    return {"random": random.random(), "secrets": secrets.token_hex(), "uuid": str(uuid.uuid4())}

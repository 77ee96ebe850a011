"""What the tests ask a Flask application for."""

import hashlib
import os
import random
import secrets
import sqlite3
import tempfile
import uuid

from flask import Flask, Response, make_response, redirect, render_template_string, request, session, url_for

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY")
answered = []


@app.get("/")
def index():
    return render_template_string("<p>{{ name }}, {{ answered }}</p>", name=request.args.get("name", ""), answered=len(answered))


@app.get("/pages/<path:page>")
def page(page):
    return {"page": page, "path": request.path, "root": request.script_root, "url": url_for("page", page=page)}


@app.post("/form")
def form():
    session["name"] = request.form["name"]
    return redirect(url_for("greeting"))


@app.get("/greeting")
def greeting():
    response = make_response("Hello, " + session.get("name", "nobody"))
    response.set_cookie("seen", "1", httponly=True)
    return response


@app.post("/upload")
def upload():
    file = request.files["file"]
    content = file.read()
    return {"name": file.filename, "type": file.mimetype, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@app.get("/stream")
def stream():
    def lines():
        for line in range(3):
            yield f"{line}\n"
        while request.args.get("endless"):
            yield "x" * 65536

    return Response(lines(), mimetype="text/plain")


@app.get("/error")
def error():
    raise ValueError("the reason is " + request.args["reason"])


@app.get("/environment")
def environment():
    return dict(os.environ)


@app.get("/left")
def left():
    """What the request before has left, and something for the next to find."""
    found = [*answered, *(name for name in ("LEFT",) if name in os.environ), *os.listdir("/tmp")]
    found += [name for name in ("kept",) if name in globals() or hasattr(os, name)]
    answered.append("answered")
    os.environ["LEFT"] = os.kept = globals()["kept"] = "left"
    with open("/tmp/left", "w") as file:
        file.write("left")
    return {"found": found, "twice": hash("a string " + "of no snapshot")}


@app.get("/random")
def numbers():
    with sqlite3.connect(":memory:") as database:
        (blob,) = database.execute("SELECT hex(randomblob(8))").fetchone()
    with tempfile.NamedTemporaryFile() as file:
        name = file.name
    values = [random.random(), random.getrandbits(64), secrets.token_hex(8), os.urandom(8).hex(), uuid.uuid4(), uuid.uuid1(), blob, name]
    return "\n".join(map(str, values))


@app.get("/visits")
def visits():
    with sqlite3.connect("/data/visits.sqlite") as database:
        database.execute("CREATE TABLE IF NOT EXISTS visits (n INTEGER)")
        database.execute("INSERT INTO visits VALUES (1)")
        return str(database.execute("SELECT count(*) FROM visits").fetchone()[0])

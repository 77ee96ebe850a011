"""Each query is a client: of PostgreSQL, MariaDB, Redis, or a server for HTTPS."""

import os
import socket
import ssl
import urllib.request

import pg8000.dbapi
import pymysql
import redis
import requests

PASSWORD = "a secret"


def rows(connection, parameter):
    cursor = connection.cursor()
    cursor.execute("create table said (text varchar(100))")
    cursor.execute(f"insert into said values ({parameter})", ("hello 'world'",))
    connection.commit()
    cursor.execute("select text from said")
    return [text for (text,) in cursor.fetchall()]


def postgresql():
    trust = ssl.create_default_context(cafile="/ca/ca.pem")
    return rows(pg8000.dbapi.connect("wcgi", host="db", database="postgres", password=PASSWORD, ssl_context=trust), "%s")


def mariadb():
    return rows(pymysql.connect(host="maria", user="wcgi", password=PASSWORD, database="wcgi"), "%s")


def cache():
    client = redis.Redis(host="cache")
    client.set("greeting", "hello")
    with client.pipeline() as pipeline:
        pipeline.incr("visits").incr("visits")
        return [client.get("greeting"), pipeline.execute()]


def https():
    trust = ssl.create_default_context(cafile="/ca/ca.pem")
    with urllib.request.urlopen("https://api.example/hello", context=trust) as response:
        first = response.read()
    second = requests.get("https://api.example/hello", verify="/ca/ca.pem")
    try:
        requests.get("https://api.example/hello")
    except requests.exceptions.SSLError:
        return [first, second.text, second.status_code, "not believed by default"]


def nobody():
    try:
        socket.create_connection(("nowhere.example", 80), timeout=5)
    except OSError as error:
        return error.args


print("Content-Type: text/plain\n")
print(globals()[os.environ["QUERY_STRING"]]())

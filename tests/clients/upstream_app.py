"""A small web application such as traders have: sessions, forms, files, redirects. Prints its port."""

import sys

from flask import Flask, Response, jsonify, redirect, request, session, url_for
from werkzeug.serving import make_server

app = Flask(__name__)
app.secret_key = "only a test"


@app.get("/")
def home():
    return "<button onclick=\"alert('inline')\">old page</button>"


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    answer = redirect(url_for("who", _external=True))
    answer.set_cookie("theme", "dark")
    return answer


@app.get("/who")
def who():
    return jsonify(user=session.get("user"), theme=request.cookies.get("theme"))


@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, size=len(file.read()), note=request.form["note"])


@app.post("/limited")
def limited():
    request.max_content_length = 1_000_000
    return jsonify(size=len(request.get_data()))


@app.route("/echo/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def echo(path):
    return jsonify(
        method=request.method,
        path=path,
        query=request.query_string.decode(),
        headers={name.lower(): value for name, value in request.headers},
        body=request.get_data(as_text=True),
    )


@app.get("/stream")
def stream():
    return Response((f"line {number}\n" for number in range(20_000)), mimetype="text/plain")


@app.get("/api/oms/orders")
def never():
    return "this path is Pinion's", 500


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)
    # Ends with its parent: standard input closes then.
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()

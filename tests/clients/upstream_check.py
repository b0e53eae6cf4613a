"""What a browser does with the application behind Pinion, by way of Pinion."""

import sys

import requests

base = sys.argv[1]
client = requests.Session()

page = client.get(f"{base}/")
assert page.status_code == 200 and "old page" in page.text, page.text
assert "content-security-policy" not in page.headers, "inline handlers must run"

answer = client.post(f"{base}/login", data={"user": "asha"})
assert answer.url == f"{base}/who", answer.url
assert answer.json() == {"user": "asha", "theme": "dark"}, answer.text
assert len(answer.history) == 1 and answer.history[0].status_code == 302

answer = client.post(f"{base}/upload", data={"note": "n"}, files={"file": ("a.csv", b"x" * 40_000)})
assert answer.json() == {"name": "a.csv", "size": 40_000, "note": "n"}, answer.text
for size in (65_300, 65_536, 100_000, 30_000_000):
    answer = client.post(f"{base}/upload", data={"note": "n"}, files={"file": ("big", b"x" * size)})
    assert answer.json() == {"name": "big", "size": size, "note": "n"}, answer.text
# What is too large is for the application to say.
answer = client.post(f"{base}/limited", data=b"x" * 2_000_000)
assert answer.status_code == 413 and "Too Large" in answer.text, answer.text
# Ours are bounded as before.
answer = client.post(f"{base}/api/oms/orders", data=b"x" * 100_000)
assert answer.status_code == 413 and answer.json()["error"], answer.text

for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    headers = {"X-API-Key": "secret", "X-Pinion-Role": "admin", "X-Forwarded-For": "6.6.6.6", "X-Own": "kept"}
    answer = client.request(method, f"{base}/echo/a%20b?q=1%2B2", data="body", headers=headers)
    seen = answer.json()
    assert (seen["method"], seen["path"], seen["query"]) == (method, "a b", "q=1%2B2"), seen
    assert seen["body"] == "body" and seen["headers"]["x-own"] == "kept", seen
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1", seen
    assert seen["headers"]["host"] == base.removeprefix("http://"), seen
    assert not {"x-api-key", "x-pinion-role", "keep-alive"} & set(seen["headers"]), seen
    assert seen["headers"]["connection"] == "close", seen

assert client.head(f"{base}/").text == ""
assert client.get(f"{base}/nowhere").status_code == 404
lines = client.get(f"{base}/stream").text.splitlines()
assert len(lines) == 20_000 and lines[-1] == "line 19999"

orders = client.get(f"{base}/api/oms/orders")
assert orders.status_code == 200 and orders.json()["orders"] == [], orders.text
assert client.get(f"{base}/api/oms/nowhere").json()["error"] == "NOT_FOUND"
assert client.get(f"{base}/api/oms/docs").status_code == 200

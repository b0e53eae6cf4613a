"""Python's own clients: requests, aiohttp and websockets do a trader's round."""

import asyncio
import json
import sys

import aiohttp
import requests
import websockets

base, key = sys.argv[1], sys.argv[2]
headers = {"X-API-Key": key}
order = {"symbol": "SBIN", "side": "BUY", "quantity": 5, "price": 800}


def with_requests():
    with requests.Session() as client:
        client.headers.update(headers)
        placed = client.post(f"{base}/api/oms/orders", json=order)
        assert placed.status_code == 201 and placed.json()["durable"], placed.text
        number = placed.json()["order_id"]
        assert client.get(f"{base}/api/oms/orders/{number}").json()["status"] == "OPEN"
        table = client.get(f"{base}/api/oms/orders", headers={"Accept": "text/csv"})
        assert table.headers["content-type"].startswith("text/csv"), table.headers
        lines = table.text.splitlines()
        assert lines[0].startswith("id,") and lines[1].startswith(f"{number},"), table.text
        assert client.head(f"{base}/api/oms/orders").text == ""
        small = client.get(f"{base}/api/oms/instruments")
        plain = client.get(f"{base}/api/oms/instruments", headers={"Accept-Encoding": "identity"})
        assert small.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
        assert small.json() == plain.json()
        assert int(small.headers["content-length"]) * 3 < int(plain.headers["content-length"])
        assert table.headers["content-encoding"] == "gzip", table.headers
        assert "POST" in client.options(f"{base}/api/oms/orders").headers["allow"]
        assert client.delete(f"{base}/api/oms/orders/{number}").json()["order_id"] == number
        assert client.delete(f"{base}/api/oms/orders/{number}").status_code == 409


async def with_aiohttp():
    async with aiohttp.ClientSession(headers=headers) as client:
        async def place(price):
            async with client.post(f"{base}/api/oms/orders", json=order | {"price": price}) as answer:
                assert answer.status == 201, await answer.text()
                return (await answer.json())["order_id"]

        numbers = await asyncio.gather(*(place(790 + step) for step in range(20)))
        assert len(set(numbers)) == 20
        async with client.get(f"{base}/api/oms/orders/active") as answer:
            assert set(numbers) <= {row["id"] for row in (await answer.json())["orders"]}
        # In chunks, which has no length: refused, and said why.
        async def chunks():
            yield json.dumps(order).encode()
        async with client.post(f"{base}/api/oms/orders", data=chunks()) as answer:
            assert answer.status == 411 and (await answer.json())["error"]
        async with client.post(f"{base}/api/oms/orders", json=order, expect100=True) as answer:
            assert answer.status == 201
        async with client.post(f"{base}/api/oms/orders/cancel-all") as answer:
            assert (await answer.json())["cancelled"] == 21
        async with client.ws_connect(f"{base}/ws/oms") as socket:
            assert (await socket.receive_json())["type"] == "connection"
            await socket.send_json({"type": "ping"})
            assert await socket.receive_json() == {"type": "pong"}


async def with_websockets():
    url = base.replace("http://", "ws://") + "/ws/oms"
    async with websockets.connect(url, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["status"] == "connected"
        await socket.send(json.dumps({"type": "order:place", "id": 7, "data": order}))
        placed = json.loads(await socket.recv())
        assert placed["type"] == "order:placed" and placed["cursor"], placed
        reply = json.loads(await socket.recv())
        assert (reply["id"], reply["status"]) == (7, 201), reply
    requests.delete(f"{base}/api/oms/orders/{placed['data']['order_id']}", headers=headers).raise_for_status()
    resumed = f"{url}?resume={placed['cursor']}"
    async with websockets.connect(resumed, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["status"] == "connected"
        missed = json.loads(await socket.recv())
        assert missed["type"] == "order:cancelled", missed
        assert missed["data"]["order_id"] == placed["data"]["order_id"], missed


with_requests()
asyncio.run(with_aiohttp())
asyncio.run(with_websockets())

// Node's own clients: fetch (undici) and, with --experimental-websocket, WebSocket.
import assert from "node:assert/strict";

const [base, key] = process.argv.slice(2);
const headers = { "X-API-Key": key, "Content-Type": "application/json" };
const order = { symbol: "SBIN", side: "BUY", quantity: 5, price: 800 };

const placed = await fetch(`${base}/api/oms/orders`, { method: "POST", headers, body: JSON.stringify(order) });
assert.equal(placed.status, 201);
const { order_id: number } = await placed.json();
const all = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((_) => fetch(`${base}/api/oms/orders/${number}`, { headers })));
for (const answer of all) assert.equal((await answer.json()).status, "OPEN");
const changed = await fetch(`${base}/api/oms/orders/${number}`, { method: "PUT", headers, body: '{"quantity":3}' });
assert.equal((await changed.json()).quantity, 3);
const gone = await fetch(`${base}/api/oms/orders/${number}`, { method: "DELETE", headers });
assert.equal(gone.status, 200);
assert.equal((await gone.json()).order_id, number);

const socket = new WebSocket(`${base.replace("http", "ws")}/ws/oms`);
const heard = [];
await new Promise((done, failed) => {
  socket.onerror = failed;
  socket.onmessage = ({ data }) => {
    heard.push(JSON.parse(data).type);
    if (heard.length === 1) socket.send('{"type":"ping"}');
    if (heard.at(-1) === "pong") done();
  };
});
socket.close();
assert.deepEqual(heard, ["connection", "pong"]);
console.log("done");

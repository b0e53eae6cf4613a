// Node's clients: fetch (undici), its own WebSocket (with --experimental-websocket), and the package ws.
import assert from "node:assert/strict";
import { once } from "node:events";
import Ws from "ws";

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

// The package ws sends our key, and its frames and compression offer are its own.
const messages = (client) => {
  const queue = [];
  let wake = () => {};
  client.on("message", (data, binary) => {
    assert.equal(binary, false);
    queue.push(JSON.parse(data));
    wake();
  });
  return async () => {
    while (!queue.length) await new Promise((next) => (wake = next));
    return queue.shift();
  };
};
const url = `${base.replace("http", "ws")}/ws/oms`;
let client = new Ws(url, { headers: { "X-API-Key": key } });
let next = messages(client);
assert.equal((await next()).type, "connection");
client.ping("are you there");
assert.equal(String((await once(client, "pong"))[0]), "are you there");
client.send(JSON.stringify({ type: "order:place", id: "n-1", timings: true, data: order }));
const placedEvent = await next();
assert.equal(placedEvent.type, "order:placed");
const reply = await next();
assert.deepEqual([reply.type, reply.id, reply.status, reply.data.durable], ["reply", "n-1", 201, true]);
assert.ok(reply.timings_ns.total > 0);
// In fragments, which a server has to put together.
const cancel = JSON.stringify({ type: "order:cancel", id: 2, data: { order_id: reply.data.order_id } });
client.send(cancel.slice(0, 9), { fin: false });
client.send(cancel.slice(9), { fin: true });
assert.equal((await next()).type, "order:cancelled");
assert.deepEqual(await next().then(({ id, status }) => [id, status]), [2, 200]);
client.close(1000, "bye");
assert.equal((await once(client, "close"))[0], 1000);
client = new Ws(`${url}?resume=${placedEvent.cursor}`, { headers: { "X-API-Key": key } });
next = messages(client);
assert.equal((await next()).type, "connection");
assert.equal((await next()).type, "order:cancelled");
client.terminate();
const refused = new Ws(url, { headers: { "X-API-Key": "wrong" } });
refused.on("error", () => {});
const [, answer] = await once(refused, "unexpected-response");
assert.equal(answer.statusCode, 401);
answer.destroy();
console.log("done");

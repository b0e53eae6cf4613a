// Drives the dashboard of a running Pinion in a real Chromium: `node run.mjs http://localhost:PORT`.
//
// Prints one JSON line, `{"ok":true,...}` or `{"ok":false,"reason":...}`, and exits non-zero on failure. The server
// must trade RELIANCE and accept the sample order of CONTRACT.md for the account of a loopback client.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Longer than anything takes on a busy machine: nothing here measures time.
const WAIT_MS = 60_000;

// Far enough below the market to rest, near enough for the price checks.
const RESTING_ORDER = {
  symbol: "RELIANCE", exchange: "NSE", side: "BUY", quantity: 2, order_type: "LIMIT", product: "MIS", validity: "DAY",
  price: "2300.00", stop_loss: "2280.00", take_profit: "2350.00",
};

const ELEMENTS = [
  ".dashboard-container", "#positions-table tbody", "#position-count", "#orders-table tbody", "#account-balance",
  "#daily-pnl", "#daily-pnl-pct", "#drawdown", "#position-count-display", "#kill-switch-status", "#order-count",
  "#trade-count", "#risk-alerts-container",
];

const GLOBALS = [
  "omsClient", "OMSClient", "refreshDashboard", "updatePositionsTable", "updateOrdersTable", "updateRiskSummary",
  "showRiskAlert", "showKillSwitchModal", "showKillSwitchBanner", "hideKillSwitchBanner", "getStatusBadgeColor",
  "getSeverityClass", "getSeverityIcon", "closePosition", "cancelOrder", "deactivateKillSwitch",
];

function assert(condition, reason) {
  if (!condition) throw new Error(reason);
}

/** Everything that must not happen while the page is open. */
function watch(page) {
  const problems = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console error: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => {
    problems.push(`${request.method()} ${request.url()} failed: ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) {
      problems.push(`${response.request().method()} ${response.url()} answered ${response.status()}`);
    }
  });
  return problems;
}

/** The page carries the contract's elements and globals, and every panel shows what the server said. */
async function pageFills(page) {
  for (const selector of ELEMENTS) {
    assert(await page.locator(selector).count() === 1, `the page does not have exactly one ${selector}`);
  }
  const missing = await page.evaluate((names) => names.filter((name) => typeof window[name] === "undefined"), GLOBALS);
  assert(missing.length === 0, `missing globals: ${missing}`);
  await page.waitForFunction(() => {
    const text = (id) => document.getElementById(id).textContent;
    return /\d/.test(text("account-balance")) && /\d/.test(text("daily-pnl")) && /\d+\/\d+/.test(text("position-count-display"))
      && /^\d+$/.test(text("order-count")) && /^\d+$/.test(text("trade-count")) && /^\d+$/.test(text("position-count"));
  });
  await page.waitForFunction(() => document.getElementById("connection-state").dataset.state === "connected");
  const shown = await page.evaluate(async () => {
    await refreshDashboard();
    const [positions, orders] = await Promise.all([omsClient.getPositions(), omsClient.getActiveOrders()]);
    return {
      positions: positions.positions.length,
      orders: orders.orders.length,
      positionRows: document.querySelectorAll("#positions-table tbody tr").length,
      orderRows: document.querySelectorAll("#orders-table tbody tr").length,
      stale: document.getElementById("data-state").classList.contains("stale"),
    };
  });
  assert(shown.positions === shown.positionRows, `${shown.positions} positions in ${shown.positionRows} rows`);
  assert(shown.orders === shown.orderRows, `${shown.orders} active orders in ${shown.orderRows} rows`);
  assert(!shown.stale, "the page says that its data is stale");
}

/** An order placed through the client appears by itself, and its own button cancels it. */
async function orderAppearsAndIsCancelled(page) {
  const verdict = await page.evaluate((order) => omsClient.validateOrder(order), RESTING_ORDER);
  assert(verdict.is_valid === true, `validateOrder refused the order: ${verdict.failed_check}: ${verdict.reason}`);
  const placed = await page.evaluate((order) => omsClient.placeOrder(order), RESTING_ORDER);
  assert(Number.isInteger(placed.order_id), `placeOrder answered ${JSON.stringify(placed)}`);
  const row = page.locator(`#orders-table tbody tr[data-key="${placed.order_id}"]`);
  await row.waitFor();
  const text = await row.innerText();
  assert(/RELIANCE/.test(text) && /BUY/.test(text) && /2,?300\.00/.test(text), `the order's row reads ${text}`);

  const modified = await page.evaluate((id) => omsClient.modifyOrder(id, { quantity: 1 }), placed.order_id);
  assert(modified.order_id === placed.order_id, `modifyOrder answered ${JSON.stringify(modified)}`);
  await page.waitForFunction((id) => {
    return document.querySelector(`#orders-table tr[data-key="${id}"]`)?.textContent.includes("0 / 1");
  }, placed.order_id);

  page.once("dialog", (dialog) => dialog.accept());
  await row.getByRole("button", { name: `Cancel order ${placed.order_id}` }).click();
  await row.waitFor({ state: "detached" });
  return placed.order_id;
}

/** The order ticket shows the server's verdict before anything is sent. */
async function ticketChecksTheOrder(page) {
  await page.getByLabel("Symbol").fill("RELIANCE");
  await page.getByLabel("Quantity").first().fill("2");
  await page.getByLabel("Price ₹").first().fill("2300");
  const verdict = (wanted) => page.locator(`#ticket-verdict[data-verdict="${wanted}"]`).waitFor();
  await verdict("refused");
  const reason = await page.locator("#ticket-verdict").innerText();
  assert(/stop.loss/i.test(reason), `an order without a stop-loss is refused with: ${reason}`);
  await page.getByLabel("Stop-loss ₹").fill("2280");
  await page.locator('#ticket-verdict:not([data-verdict="refused"]):not([data-verdict="idle"])').waitFor();
}

async function main(baseUrl) {
  const profile = await mkdtemp(join(tmpdir(), "pinion-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
    viewport: { width: 1440, height: 900 },
  });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const problems = watch(page);
    await page.goto(baseUrl, { waitUntil: "load" });
    await pageFills(page);
    const order = await orderAppearsAndIsCancelled(page);
    await ticketChecksTheOrder(page);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
    assert(problems.length === 0, problems.join("; "));
    return { ok: true, order, browser: context.browser()?.version() };
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

let result;
try {
  assert(process.argv[2], "usage: node run.mjs http://localhost:PORT");
  result = await main(process.argv[2]);
} catch (error) {
  result = { ok: false, reason: error.message };
}
console.log(JSON.stringify(result));
process.exitCode = result.ok ? 0 : 1;

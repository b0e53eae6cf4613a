// The order ticket: a form that shows the server's verdict on an order before it is sent.
"use strict";

(() => {
  const CHECK_DELAY_MS = 300;

  const byId = (id) => document.getElementById(id);
  const ticket = byId("order-ticket");
  const fields = ticket.elements;
  // Kept while an order's outcome is unknown, so that sending it again cannot place it twice.
  let clientOrderId = null;
  let instruments = new Map();
  let selected = null;
  let checkTimer = null;
  let checkNumber = 0;

  /** The form as an order body, or null while a needed field is missing. Prices stay text, hence exact. */
  function ticketOrder() {
    const order = {
      symbol: fields.symbol.value.trim().toUpperCase(),
      exchange: "NSE",
      side: fields.side.value,
      quantity: Number(fields.quantity.value),
      order_type: fields.order_type.value,
      product: fields.product.value,
      validity: fields.validity.value,
    };
    for (const name of ["price", "stop_loss", "take_profit"]) {
      if (fields[name].value && !fields[name].disabled) order[name] = fields[name].value;
    }
    const priced = order.order_type === "MARKET" || order.price !== undefined;
    return order.symbol && order.quantity > 0 && priced ? order : null;
  }

  /** Value, risk and reward as the sender sees them; the server's own figures decide. */
  function showFigures(order) {
    const price = Number(order?.price);
    const risk = Math.abs(price - Number(order?.stop_loss));
    const reward = Math.abs(Number(order?.take_profit) - price);
    const figures = {
      "ticket-value": price > 0 ? formatRupees(price * order.quantity) : "–",
      "ticket-risk": risk > 0 ? formatRupees(risk * order.quantity) : "–",
      "ticket-reward": risk > 0 && reward > 0 ? `${(reward / risk).toFixed(2)} : 1` : "–",
    };
    for (const [id, text] of Object.entries(figures)) byId(id).textContent = text;
  }

  function showVerdict(verdict, text) {
    const element = byId("ticket-verdict");
    element.dataset.verdict = verdict;
    element.textContent = text;
  }

  async function check(order) {
    const current = ++checkNumber;
    let shown;
    try {
      const verdict = await omsClient.validateOrder(order);
      if (!verdict.is_valid) {
        shown = ["refused", verdict.reason];
      } else if (verdict.warnings.length > 0) {
        shown = ["warned", `Passes with a warning. ${verdict.warnings.join(". ")}`];
      } else {
        shown = ["passed", "Passes every check"];
      }
    } catch (error) {
      shown = ["refused", error.message];
    }
    if (current === checkNumber) showVerdict(...shown);
  }

  function ticketChanged() {
    clientOrderId = null;
    checkNumber += 1;
    clearTimeout(checkTimer);
    const market = fields.order_type.value === "MARKET";
    fields.price.disabled = market;
    const order = ticketOrder();
    const submit = byId("ticket-submit");
    submit.dataset.side = fields.side.value;
    const verb = fields.side.value === "BUY" ? "Buy" : "Sell";
    submit.textContent = order ? `${verb} ${order.quantity} ${order.symbol}` : verb;
    showFigures(order);
    selectInstrument();
    if (order) checkTimer = setTimeout(() => check(order), CHECK_DELAY_MS);
    else showVerdict("idle", "Fill in the order to check it.");
  }

  /** Tells the page which listed instrument the ticket is about, and steps prices by its tick. */
  function selectInstrument() {
    const instrument = instruments.get(fields.symbol.value.trim().toUpperCase()) ?? null;
    if (instrument === selected) return;
    selected = instrument;
    for (const name of ["price", "stop_loss", "take_profit"]) fields[name].step = instrument?.tick_size ?? "any";
    document.dispatchEvent(new CustomEvent("instrument-selected", { detail: instrument }));
  }

  function randomId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  async function submitTicket() {
    const order = ticketOrder();
    if (!order) {
      const missing = ["symbol", "quantity", "price"].find((name) => !fields[name].value && !fields[name].disabled);
      fields[missing ?? "quantity"].focus();
      return;
    }
    clientOrderId ??= randomId();
    const submit = byId("ticket-submit");
    submit.disabled = true;
    try {
      const placed = await omsClient.placeOrder({ ...order, client_order_id: clientOrderId });
      clientOrderId = null;
      showToast(`Order ${placed.order_id}: ${placed.status}`, "success");
    } catch (error) {
      if (error.outcomeUnknown) {
        showToast(`${error.message}. Sending the ticket again unchanged is safe: it cannot be placed twice.`, "error");
      } else {
        clientOrderId = null;
        showToast(error.message, "error");
      }
    } finally {
      submit.disabled = false;
    }
    await refreshDashboard();
  }

  async function loadInstruments() {
    const answer = await omsClient.getInstruments();
    instruments = new Map(answer.instruments.map((instrument) => [instrument.symbol, instrument]));
    byId("symbols").replaceChildren(...[...instruments.keys()].sort().map((symbol) => {
      const option = document.createElement("option");
      option.value = symbol;
      return option;
    }));
    selectInstrument();
  }

  ticket.addEventListener("input", ticketChanged);
  ticket.addEventListener("submit", (event) => {
    event.preventDefault();
    submitTicket();
  });

  ticketChanged();
  loadInstruments().catch((error) => showToast(`The list of symbols is missing: ${error.message}`, "error"));
})();

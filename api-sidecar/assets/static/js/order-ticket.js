// The page's forms: the order ticket with its live check, the kill switch dialog, the modify dialog.
"use strict";

(() => {
  const CHECK_DELAY_MS = 300;

  const byId = (id) => document.getElementById(id);

  // ---- Order ticket -------------------------------------------------------------------------------------------

  const ticket = byId("order-ticket");
  const fields = ticket.elements;
  // Kept while an order's outcome is unknown, so that sending it again cannot place it twice.
  let clientOrderId = null;
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
        shown = ["refused", `${verdict.failed_check.replace(/_/g, " ")}: ${verdict.reason}`];
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
    if (order) checkTimer = setTimeout(() => check(order), CHECK_DELAY_MS);
    else showVerdict("idle", "Fill in the order to check it.");
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

  async function loadSymbols() {
    const { instruments } = await omsClient.getInstruments();
    byId("symbols").replaceChildren(...instruments.map((instrument) => {
      const option = document.createElement("option");
      option.value = instrument.symbol;
      return option;
    }));
  }

  ticket.addEventListener("input", ticketChanged);
  ticket.addEventListener("submit", (event) => {
    event.preventDefault();
    submitTicket();
  });

  // ---- Dialogs ------------------------------------------------------------------------------------------------

  /** Shows a dialog with a form; resolves with the form's elements when it was confirmed, else with null. */
  function ask(dialog) {
    const form = dialog.querySelector("form");
    return new Promise((resolve) => {
      dialog.returnValue = "";
      dialog.addEventListener("close", () => {
        resolve(dialog.returnValue === "confirm" ? form.elements : null);
      }, { once: true });
      dialog.showModal();
      form.querySelector("input")?.select();
    });
  }

  async function triggerKillSwitch() {
    const dialog = byId("kill-switch-dialog");
    dialog.querySelector("form").reset();
    const answer = await ask(dialog);
    if (!answer) return;
    const order = { reason: answer.reason.value.trim(), flatten: answer.flatten.checked };
    await performAction(() => omsClient.triggerKillSwitch(order), "Kill switch triggered");
  }

  async function modifyOrder(id) {
    const current = await omsClient.getOrder(id);
    const dialog = byId("modify-order-dialog");
    byId("modify-order-title").textContent = `Modify order ${id}: ${current.side} ${current.symbol}`;
    const form = dialog.querySelector("form").elements;
    form.quantity.value = current.quantity;
    form.price.value = current.price ?? "";
    const before = { quantity: form.quantity.value, price: form.price.value };
    const answer = await ask(dialog);
    if (!answer) return;
    const changes = {};
    if (answer.quantity.value !== before.quantity) changes.quantity = Number(answer.quantity.value);
    if (answer.price.value !== before.price) changes.price = answer.price.value;
    if (Object.keys(changes).length === 0) return;
    await performAction(() => omsClient.modifyOrder(id, changes), `Order ${id} modified`);
  }

  document.addEventListener("click", (click) => {
    const button = click.target.closest("[data-action]");
    if (button?.dataset.action === "close-dialog") button.closest("dialog").close();
    if (button?.dataset.action === "open-kill-switch") triggerKillSwitch();
    if (button?.dataset.action === "modify-order") {
      modifyOrder(button.dataset.id).catch((error) => showToast(error.message, "error"));
    }
  });

  ticketChanged();
  loadSymbols().catch((error) => showToast(`The list of symbols is missing: ${error.message}`, "error"));
})();

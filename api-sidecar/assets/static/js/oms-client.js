// Pinion's browser client: REST and WebSocket access (class OMSClient) and the dashboard's tables, tiles and alerts.
// The element ids, global names and wire behaviour are those of the existing dashboard (CONTRACT.md).
"use strict";

(() => {
  const API_ROOT = "/api/oms";
  const POLL_MS = 5_000;
  const PING_MS = 30_000;
  const RECONNECT_ATTEMPTS_MAX = 5;
  const RECONNECT_STEP_MS = 2_000;
  // An event starts a read at once; further events within this time share one more.
  const COALESCE_MS = 500;
  const INFO_ALERT_MS = 5_000;
  const TOAST_MS = 5_000;
  const ALERT_CARDS_MAX = 50;
  const ALERT_HISTORY = 20;
  const RESUME_PHRASE = "RESUME TRADING";

  // ---- The server ---------------------------------------------------------------------------------------------

  /** A request that the server refused, or (status 0) that never reached it. `body` is the answer's JSON. */
  class OMSError extends Error {
    constructor(message, status, body) {
      super(message);
      this.name = "OMSError";
      this.status = status;
      this.body = body;
    }

    /** Whether the order may have been accepted although no answer says so. */
    get outcomeUnknown() {
      return this.status === 0 || this.status === 503;
    }
  }

  /** REST calls resolve with the answer's JSON. `on(type, callback)` hears WebSocket events and `connection`. */
  class OMSClient {
    constructor() {
      this.listeners = new Map();
      this.socket = null;
      this.reconnectAttempts = 0;
      this.reconnectTimer = null;
      this.pingTimer = null;
    }

    getPositions() { return this.request("GET", "/positions"); }
    getActiveOrders() { return this.request("GET", "/orders/active"); }
    getOrders(limit = 50) { return this.request("GET", `/orders?limit=${encodeURIComponent(limit)}`); }
    getOrder(id) { return this.request("GET", `/orders/${encodeURIComponent(id)}`); }
    getRiskSummary() { return this.request("GET", "/risk/summary"); }
    getRiskAlerts(count = 10) { return this.request("GET", `/risk/alerts?count=${encodeURIComponent(count)}`); }
    getTodayStats() { return this.request("GET", "/stats/today"); }
    getHealth() { return this.request("GET", "/health"); }
    getInstruments() { return this.request("GET", "/instruments"); }

    getDepth(symbol, levels = 5) {
      return this.request("GET", `/depth/${encodeURIComponent(symbol)}?levels=${encodeURIComponent(levels)}`);
    }

    placeOrder(order) { return this.request("POST", "/orders", order); }
    validateOrder(order) { return this.request("POST", "/validate-order", order); }
    modifyOrder(id, changes) { return this.request("PUT", `/orders/${encodeURIComponent(id)}`, changes); }
    cancelOrder(id) { return this.request("DELETE", `/orders/${encodeURIComponent(id)}`); }
    cancelAllOrders() { return this.request("POST", "/orders/cancel-all", {}); }

    /** Closes a position by its id, or the position in a symbol. */
    closePosition(position) {
      return Number.isInteger(position)
        ? this.request("POST", `/positions/${position}/close`, {})
        : this.request("POST", "/positions/close", { symbol: position });
    }

    triggerKillSwitch({ reason, flatten = false, triggeredBy = "dashboard" }) {
      return this.request("POST", "/risk/kill-switch", { reason, flatten, triggered_by: triggeredBy });
    }

    deactivateKillSwitch(deactivatedBy = "dashboard") {
      return this.request("POST", "/risk/deactivate-kill-switch", { deactivated_by: deactivatedBy });
    }

    async request(method, path, body) {
      let response;
      try {
        response = await fetch(API_ROOT + path, {
          method,
          headers: { "Content-Type": "application/json" },
          credentials: "same-origin",
          body: body === undefined ? undefined : JSON.stringify(body),
        });
      } catch {
        throw new OMSError("The server cannot be reached", 0, null);
      }
      const answer = await response.json().catch(() => null);
      if (response.ok && answer !== null) return answer;
      const error = answer?.error || `HTTP ${response.status}`;
      const why = answer?.reason ?? answer?.details;
      throw new OMSError(typeof why === "string" && why ? `${error}: ${why}` : error, response.status, answer);
    }

    on(type, callback) {
      if (!this.listeners.has(type)) this.listeners.set(type, new Set());
      this.listeners.get(type).add(callback);
      return this;
    }

    off(type, callback) {
      this.listeners.get(type)?.delete(callback);
      return this;
    }

    emit(type, data) {
      for (const callback of this.listeners.get(type) ?? []) {
        try {
          callback(data);
        } catch (error) {
          console.error(`A listener of ${type} failed`, error);
        }
      }
    }

    /** Opens the event stream, at once and with a fresh count of attempts; does nothing while one is open. */
    connect() {
      this.reconnectAttempts = 0;
      if (this.socket === null) this.openSocket();
    }

    disconnect() {
      clearTimeout(this.reconnectTimer);
      clearInterval(this.pingTimer);
      const socket = this.socket;
      this.socket = null;
      socket?.close();
      this.emit("connection", { state: "offline" });
    }

    openSocket() {
      clearTimeout(this.reconnectTimer);
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/ws/oms`);
      this.socket = socket;
      this.emit("connection", { state: "connecting" });
      socket.addEventListener("open", () => {
        this.reconnectAttempts = 0;
        clearInterval(this.pingTimer);
        this.pingTimer = setInterval(() => this.send({ type: "ping" }), PING_MS);
        this.emit("connection", { state: "connected" });
      });
      socket.addEventListener("message", (message) => this.receive(message.data));
      socket.addEventListener("close", () => {
        if (this.socket === socket) this.lost();
      });
    }

    lost() {
      clearInterval(this.pingTimer);
      this.socket = null;
      if (this.reconnectAttempts >= RECONNECT_ATTEMPTS_MAX) {
        this.emit("connection", { state: "offline" });
        return;
      }
      this.reconnectAttempts += 1;
      this.emit("connection", { state: "reconnecting", attempt: this.reconnectAttempts });
      this.reconnectTimer = setTimeout(() => this.openSocket(), this.reconnectAttempts * RECONNECT_STEP_MS);
    }

    send(message) {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    }

    receive(text) {
      let message;
      try {
        message = JSON.parse(text);
      } catch (error) {
        console.error("A frame of the event stream is not JSON", error);
        return;
      }
      // The greeting and `pong` carry no data; the stream's own state is told by `openSocket` and `lost`.
      if (message?.data && typeof message.data === "object") this.emit(message.type, message.data);
    }
  }

  // ---- Text ---------------------------------------------------------------------------------------------------

  const decimals = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const number = (value) => (Number.isFinite(value) ? decimals.format(value) : "–");
  const rupees = (value) =>
    Number.isFinite(value) ? `${value < 0 ? "-" : ""}₹${decimals.format(Math.abs(value))}` : "–";
  const percent = (value) => (Number.isFinite(value) ? `${value.toFixed(2)}%` : "–");
  const signClass = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

  function timeOfDay(iso) {
    const time = new Date(iso ?? NaN);
    return Number.isNaN(time.getTime()) ? "–" : time.toLocaleTimeString(undefined, { hour12: false });
  }

  function getStatusBadgeColor(status) {
    const colors = {
      PENDING: "warning", SUBMITTED: "info", OPEN: "primary", FILLED: "success", CANCELLED: "secondary",
      REJECTED: "danger",
    };
    return colors[status] ?? "secondary";
  }

  function getSeverityClass(severity) {
    return { CRITICAL: "danger", WARNING: "warning", INFO: "info" }[severity] ?? "info";
  }

  function getSeverityIcon(severity) {
    return { CRITICAL: "🚨", WARNING: "⚠️", INFO: "ℹ️" }[severity] ?? "ℹ️";
  }

  // ---- Elements -----------------------------------------------------------------------------------------------

  const byId = (id) => document.getElementById(id);

  function setText(id, text) {
    const element = byId(id);
    if (element && element.textContent !== String(text)) element.textContent = text;
    return element;
  }

  function create(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function actionButton(label, action, id, description) {
    const button = create("button", "button button-small", label);
    button.type = "button";
    button.dataset.action = action;
    button.dataset.id = id;
    button.setAttribute("aria-label", description);
    return button;
  }

  /**
   * Brings a table's body to `rows` (`{key, cells: [{text, className, badge}], actions}`). Rows that stay keep their
   * elements, so that a refresh never takes a button away from under a click.
   */
  function renderRows(tbody, rows) {
    const present = new Map([...tbody.rows].map((row) => [row.dataset.key, row]));
    rows.forEach((wanted, index) => {
      const key = String(wanted.key);
      let row = present.get(key);
      present.delete(key);
      if (!row) {
        row = create("tr");
        row.dataset.key = key;
        wanted.cells.forEach(() => row.append(create("td")));
        if (wanted.actions) {
          const actions = create("td", "actions");
          actions.append(...wanted.actions());
          row.append(actions);
        }
      }
      wanted.cells.forEach((cell, column) => renderCell(row.cells[column], cell));
      if (tbody.rows[index] !== row) tbody.insertBefore(row, tbody.rows[index] ?? null);
    });
    for (const row of present.values()) row.remove();
  }

  function renderCell(element, { text, className = "", badge }) {
    const shown = String(text);
    if (element.className !== className) element.className = className;
    if (!badge) {
      if (element.textContent !== shown) element.textContent = shown;
      return;
    }
    const badgeClass = `badge badge-${badge}`;
    if (element.firstChild?.className === badgeClass && element.textContent === shown) return;
    element.replaceChildren(create("span", badgeClass, shown));
  }

  function showToast(message, kind = "info") {
    const toasts = byId("toasts");
    if (!toasts) {
      console.log(`[${kind.toUpperCase()}] ${message}`);
      return;
    }
    const toast = create("p", `toast toast-${kind}`, message);
    toasts.append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  }

  // ---- Tables and tiles ---------------------------------------------------------------------------------------

  function updatePositionsTable(answer) {
    const positions = Array.isArray(answer) ? answer : answer.positions;
    const tbody = document.querySelector("#positions-table tbody");
    if (!tbody) return;
    setText("position-count", positions.length);
    renderRows(tbody, positions.map((position) => ({
      key: position.id ?? position.symbol,
      cells: [
        { text: position.symbol, className: "symbol" },
        { text: position.quantity, className: `num ${signClass(position.quantity)}` },
        { text: number(position.average_price), className: "num" },
        { text: number(position.unrealized_pnl), className: `num ${signClass(position.unrealized_pnl)}` },
        { text: number(position.total_pnl), className: `num ${signClass(position.total_pnl)}` },
        { text: number(position.stop_loss), className: "num" },
        { text: number(position.take_profit), className: "num" },
      ],
      actions: () => [
        actionButton("Close", "close-position", position.id ?? position.symbol, `Close ${position.symbol}`),
      ],
    })));
  }

  function orderCells(order, price) {
    return [
      { text: timeOfDay(order.created_at), className: "time" },
      { text: order.symbol, className: "symbol" },
      { text: order.side, className: order.side === "BUY" ? "buy" : "sell" },
      { text: order.order_type },
      { text: `${order.filled_quantity ?? 0} / ${order.quantity}`, className: "num" },
      { text: number(price), className: "num" },
      { text: order.status, badge: getStatusBadgeColor(order.status) },
    ];
  }

  function updateOrdersTable(answer) {
    const orders = Array.isArray(answer) ? answer : answer.orders;
    const tbody = document.querySelector("#orders-table tbody");
    if (!tbody) return;
    setText("active-order-count", orders.length);
    renderRows(tbody, orders.map((order) => ({
      key: order.id,
      cells: orderCells(order, order.price),
      actions: () => [
        actionButton("Modify", "modify-order", order.id, `Modify order ${order.id}`),
        actionButton("Cancel", "cancel-order", order.id, `Cancel order ${order.id}`),
      ],
    })));
  }

  /** The day's orders that are not active any more, with what became of them. */
  function updateDoneOrdersTable({ orders }) {
    const tbody = document.querySelector("#done-orders-table tbody");
    if (!tbody) return;
    const done = orders.filter((order) => !order.is_active);
    setText("done-order-count", done.length);
    renderRows(tbody, done.map((order) => {
      const note = order.error_message ?? order.status_message ?? "";
      return { key: order.id, cells: [...orderCells(order, order.average_price), { text: note, className: "note" }] };
    }));
  }

  function updateRiskSummary(summary) {
    setText("account-balance", rupees(summary.current_value));
    const pnl = setText("daily-pnl", rupees(summary.daily_pnl));
    if (pnl) {
      pnl.className = summary.daily_pnl > 0 ? "text-green-500" : "text-red-500";
      pnl.classList.toggle("flat", summary.daily_pnl === 0);
    }
    const sign = summary.daily_pnl_pct > 0 ? "+" : "";
    setText("daily-pnl-pct", sign + percent(summary.daily_pnl_pct));
    setText("drawdown", percent(summary.drawdown_pct));
    setText("position-count-display", `${summary.position_count}/${summary.max_positions}`);
    const active = Boolean(summary.kill_switch_active);
    const status = setText("kill-switch-status", active ? "ACTIVE" : "Inactive");
    if (status) status.className = `badge badge-${active ? "danger" : "success"}`;
    if (active) showKillSwitchBanner();
    else hideKillSwitchBanner();
  }

  function updateTodayStats(stats) {
    setText("order-count", stats.order_count);
    setText("trade-count", stats.trade_count);
  }

  // ---- Reading the server -------------------------------------------------------------------------------------

  const omsClient = new OMSClient();

  const panels = {
    positions: async () => updatePositionsTable(await omsClient.getPositions()),
    orders: async () => updateOrdersTable(await omsClient.getActiveOrders()),
    history: async () => updateDoneOrdersTable(await omsClient.getOrders()),
    risk: async () => updateRiskSummary(await omsClient.getRiskSummary()),
    stats: async () => updateTodayStats(await omsClient.getTodayStats()),
  };

  /** Reads some panels side by side. One that fails keeps what it shows, and the page says that it is stale. */
  async function refreshPanels(names) {
    const results = await Promise.allSettled(names.map((name) => panels[name]()));
    const failed = names.filter((_, index) => results[index].status === "rejected");
    const state = byId("data-state");
    if (!state) return;
    state.classList.toggle("stale", failed.length > 0);
    state.textContent = failed.length > 0
      ? `Not updated: ${failed.join(", ")}`
      : `Updated ${new Date().toLocaleTimeString(undefined, { hour12: false })}`;
  }

  /** Runs `task` at once, then at most once per {@link COALESCE_MS} and never twice at a time. */
  function coalesced(task) {
    let running = false;
    let wanted = false;
    return async function trigger() {
      if (running) {
        wanted = true;
        return;
      }
      running = true;
      do {
        wanted = false;
        await task();
        await new Promise((resolve) => setTimeout(resolve, COALESCE_MS));
      } while (wanted);
      running = false;
    };
  }

  const refreshDashboard = () => refreshPanels(Object.keys(panels));
  const positionsChanged = coalesced(() => refreshPanels(["positions", "risk"]));
  const ordersChanged = coalesced(() => refreshPanels(["orders", "history", "stats"]));

  // ---- Risk alerts and the kill switch ------------------------------------------------------------------------

  function showRiskAlert(alert) {
    const container = byId("risk-alerts-container");
    if (!container) return;
    const card = create("article", `alert alert-${getSeverityClass(alert.severity)}`);
    const head = create("header");
    const icon = create("span", "icon", getSeverityIcon(alert.severity));
    icon.setAttribute("aria-hidden", "true");
    const title = String(alert.alert_type).replace(/_/g, " ").toUpperCase();
    head.append(icon, create("strong", "", title), create("time", "muted", timeOfDay(alert.timestamp)));
    const dismiss = actionButton("×", "dismiss-alert", "", "Dismiss alert");
    head.append(dismiss);
    card.append(head, create("p", "", alert.message));
    container.prepend(card);
    if (alert.severity === "INFO") setTimeout(() => card.remove(), INFO_ALERT_MS);
    while (container.children.length > ALERT_CARDS_MAX) container.lastElementChild.remove();
  }

  /** What happened before the page was opened: warnings and worse, newest on top. */
  async function loadAlertHistory() {
    const { alerts } = await omsClient.getRiskAlerts(ALERT_HISTORY);
    alerts.filter((alert) => alert.severity !== "INFO").forEach(showRiskAlert);
  }

  /** Blocks this tab until a person has seen it. */
  function showKillSwitchModal(reason) {
    window.alert(
      `🛑 KILL SWITCH ACTIVATED\n\n${reason}\n\nNew entries are refused. Exits and cancels still work.`,
    );
  }

  function showKillSwitchBanner() {
    const container = document.querySelector(".dashboard-container");
    if (!container || byId("kill-switch-banner")) return;
    const banner = create("div", "banner");
    banner.id = "kill-switch-banner";
    banner.setAttribute("role", "alert");
    banner.append(create("strong", "", "🛑 Kill switch active: new entries are refused; exits and cancels pass."));
    banner.append(actionButton("Resume trading…", "deactivate-kill-switch", "", "Resume trading"));
    container.prepend(banner);
  }

  function hideKillSwitchBanner() {
    byId("kill-switch-banner")?.remove();
  }

  // ---- Actions ------------------------------------------------------------------------------------------------

  /** Does something on the server, tells how it went, and shows the new state. Resolves with whether it worked. */
  async function perform(request, success) {
    let worked = true;
    try {
      await request();
      showToast(success, "success");
    } catch (error) {
      worked = false;
      showToast(error.message, "error");
    }
    await refreshDashboard();
    return worked;
  }

  async function closePosition(position) {
    const id = /^\d+$/.test(position) ? Number(position) : position;
    const name = document.querySelector(`#positions-table tr[data-key="${CSS.escape(id)}"] .symbol`);
    const symbol = name?.textContent ?? id;
    if (!window.confirm(`Close the whole position in ${symbol} at the market?`)) return false;
    return perform(() => omsClient.closePosition(id), `Closing ${symbol}`);
  }

  async function cancelOrder(id) {
    if (!window.confirm(`Cancel order ${id}?`)) return false;
    return perform(() => omsClient.cancelOrder(id), `Order ${id} cancelled`);
  }

  async function cancelAllOrders() {
    if (!window.confirm("Cancel every open order?")) return false;
    return perform(() => omsClient.cancelAllOrders(), "Every open order was cancelled");
  }

  async function deactivateKillSwitch() {
    const typed = window.prompt(`Trading resumes for everybody it covers. Type ${RESUME_PHRASE} to confirm.`);
    if (typed === null) return false;
    if (typed !== RESUME_PHRASE) {
      showToast(`Nothing changed: the text must be exactly ${RESUME_PHRASE}`, "error");
      return false;
    }
    return perform(() => omsClient.deactivateKillSwitch(), "Kill switch deactivated");
  }

  const actions = {
    "close-position": (button) => closePosition(button.dataset.id),
    "cancel-order": (button) => cancelOrder(button.dataset.id),
    "cancel-all": () => cancelAllOrders(),
    "deactivate-kill-switch": () => deactivateKillSwitch(),
    "dismiss-alert": (button) => button.closest(".alert")?.remove(),
    "reconnect": () => omsClient.connect(),
  };

  // ---- Start --------------------------------------------------------------------------------------------------

  function showConnection({ state, attempt }) {
    const texts = {
      connecting: "Connecting",
      connected: "Live",
      reconnecting: `Reconnecting (${attempt}/${RECONNECT_ATTEMPTS_MAX})`,
      offline: "Offline: click to reconnect",
    };
    setText("connection-text", texts[state]);
    const indicator = byId("connection-state");
    if (indicator) indicator.dataset.state = state;
  }

  function listen() {
    omsClient.on("connection", showConnection);
    for (const type of ["placed", "filled", "cancelled", "rejected", "modified"]) {
      omsClient.on(`order:${type}`, ordersChanged);
    }
    omsClient.on("order:filled", (order) => {
      showToast(`Order filled: ${order.symbol} ${order.side} ${order.quantity}`, "success");
    });
    for (const type of ["opened", "updated", "closed"]) omsClient.on(`position:${type}`, positionsChanged);
    omsClient.on("account:balance_updated", positionsChanged);
    omsClient.on("risk:alert", showRiskAlert);
    omsClient.on("risk:kill_switch_triggered", (event) => {
      showKillSwitchBanner();
      refreshDashboard();
      // The banner is painted before the dialog stops the page.
      setTimeout(() => showKillSwitchModal(event.reason), 50);
    });
    omsClient.on("risk:kill_switch_deactivated", () => refreshDashboard());
    document.addEventListener("click", (click) => {
      const button = click.target.closest("[data-action]");
      if (button) actions[button.dataset.action]?.(button);
    });
  }

  function start() {
    listen();
    omsClient.connect();
    refreshDashboard();
    loadAlertHistory().catch((error) => showToast(error.message, "error"));
    setInterval(refreshDashboard, POLL_MS);
  }

  Object.assign(window, {
    OMSClient, OMSError, omsClient, refreshDashboard, updatePositionsTable, updateOrdersTable, updateRiskSummary,
    updateTodayStats, showRiskAlert, showKillSwitchModal, showKillSwitchBanner, hideKillSwitchBanner, showToast,
    getStatusBadgeColor, getSeverityClass, getSeverityIcon, closePosition, cancelOrder, cancelAllOrders,
    deactivateKillSwitch, performAction: perform, formatRupees: rupees, formatNumber: number,
  });

  document.addEventListener("DOMContentLoaded", start);
})();

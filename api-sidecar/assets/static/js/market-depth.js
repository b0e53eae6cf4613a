// The book of the instrument in the order ticket: best levels of both sides. A click on a price takes it over.
"use strict";

(() => {
  const REFRESH_MS = 1_000;
  const LEVELS = 5;

  const byId = (id) => document.getElementById(id);
  const tbody = document.querySelector("#depth-table tbody");
  const panel = tbody.closest(".depth");
  let symbol = null;

  function textCell(text, className) {
    const cell = document.createElement("td");
    cell.className = className;
    cell.textContent = text;
    return cell;
  }

  function priceCell(price, className) {
    const cell = textCell("", className);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "price";
    cell.append(button);
    showPrice(cell, price);
    return cell;
  }

  function showPrice(cell, price) {
    const button = cell.firstChild;
    button.hidden = price === undefined;
    button.dataset.price = price ?? "";
    button.textContent = formatNumber(price);
    button.setAttribute("aria-label", `Use price ${formatNumber(price)}`);
  }

  /** Rows are made once and then only change their text, so that a refresh cannot swallow a click. */
  function render(depth) {
    while (tbody.rows.length < LEVELS) {
      const row = tbody.insertRow();
      row.append(textCell("", "num"), priceCell(undefined, "num buy"), priceCell(undefined, "sell"), textCell("", ""));
    }
    [...tbody.rows].forEach((row, level) => {
      const [bid, ask] = [depth.bids[level], depth.asks[level]];
      row.cells[0].textContent = bid?.quantity ?? "";
      showPrice(row.cells[1], bid?.price);
      showPrice(row.cells[2], ask?.price);
      row.cells[3].textContent = ask?.quantity ?? "";
    });
    byId("depth-last").textContent = depth.last_price === null ? "" : formatNumber(depth.last_price);
  }

  async function refresh() {
    if (symbol === null || document.visibilityState !== "visible") return;
    const wanted = symbol;
    try {
      const depth = await omsClient.getDepth(wanted, LEVELS);
      if (wanted === symbol) render(depth);
      panel.classList.remove("stale");
    } catch {
      panel.classList.add("stale");
    }
  }

  async function keepRefreshing() {
    await refresh();
    setTimeout(keepRefreshing, REFRESH_MS);
  }

  document.addEventListener("instrument-selected", (event) => {
    symbol = event.detail?.symbol ?? null;
    byId("depth-symbol").textContent = symbol ?? "";
    byId("depth-last").textContent = "";
    tbody.replaceChildren();
    refresh();
  });

  tbody.addEventListener("click", (click) => {
    const price = click.target.closest(".price")?.dataset.price;
    if (!price) return;
    const input = byId("order-ticket").elements.price;
    input.value = price;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });

  keepRefreshing();
})();

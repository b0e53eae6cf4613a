// The page's dialogs: trigger the kill switch, modify an order.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);

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
    const kill = { reason: answer.reason.value.trim(), flatten: answer.flatten.checked };
    await performAction(() => omsClient.triggerKillSwitch(kill), "Kill switch triggered");
  }

  async function modifyOrder(id) {
    const current = await omsClient.getOrder(id);
    const dialog = byId("modify-order-dialog");
    byId("modify-order-title").textContent = `Modify order ${id}: ${current.side} ${current.symbol}`;
    const form = dialog.querySelector("form").elements;
    form.quantity.value = current.quantity;
    form.price.value = current.price ?? current.limit_price ?? "";
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
})();

// Comforts of the fleet page: filters that act at once, ticks that are counted and kept, one open menu at a time. Without it
// every form and link works as well.
"use strict";

(() => {
  const bulk = document.getElementById("bulk");
  const count = document.getElementById("bulk-count");
  const ticks = () => [...document.querySelectorAll("#part-rows .pick input")];
  const all = () => document.getElementById("pick-all");

  function tell() {
    if (!bulk) return;
    const chosen = ticks().filter((tick) => tick.checked).length;
    bulk.classList.toggle("idle", chosen === 0);
    count.textContent = chosen === 1 ? "1 chosen" : `${chosen} chosen`;
    const head = all();
    if (head) {
      head.hidden = false;
      head.checked = chosen > 0 && chosen === ticks().length;
      head.indeterminate = chosen > 0 && !head.checked;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "pick-all") for (const tick of ticks()) tick.checked = event.target.checked;
    if (event.target.closest("#filters select")) event.target.form.requestSubmit();
    tell();
  });
  document.addEventListener("live:swapped", tell);

  document.addEventListener("click", (event) => {
    const inside = event.target.closest("details.menu");
    for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== inside) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  tell();
})();

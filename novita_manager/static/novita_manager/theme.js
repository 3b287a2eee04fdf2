// The colours a person chose, before anything is drawn: auto follows the machine. The admin keeps the same choice under the
// same name, as JSON.
"use strict";

(() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function chosen() {
    try {
      const kept = (localStorage.getItem("adminTheme") || "").replaceAll('"', "");
      return CHOICES.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage is forbidden: the machine decides
    }
  }

  function apply(choice) {
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
  }

  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const tell = () => {
      button.textContent = `Theme: ${chosen()}`;
    };
    button.hidden = false;
    tell();
    button.addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length];
      try {
        localStorage.setItem("adminTheme", JSON.stringify(next));
      } catch {
        return;
      }
      apply(next);
      tell();
    });
  });
})();

// The create page: shows where and for how much while the form is filled in. Without it the Preview button does.
"use strict";

(() => {
  const AFTER = 350;
  const TIME_OUT = 15000;
  // Not needed to place it: secrets stay here, and a community template is looked up only when it is meant.
  const KEPT_BACK = ["envs", "command", "template_by_id", "do"];
  const form = document.getElementById("create");
  const place = document.getElementById("preview");
  let timer = 0;
  let newest = 0;

  function say(text) {
    const notice = document.createElement("p");
    notice.className = "notice warn";
    notice.textContent = text;
    place.replaceChildren(notice);
  }

  async function preview() {
    const mine = ++newest;
    const typed = new FormData(form);
    for (const name of KEPT_BACK) typed.delete(name);
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST",
        body: typed,
        headers: { Accept: "text/html" },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(TIME_OUT),
      });
      if (mine !== newest) return;
      if (answer.type === "opaqueredirect" || answer.status === 403) say("You are signed out. Reload the page to sign in again.");
      else if (!answer.ok) say(`The preview failed: the server answers ${answer.status}.`);
      else {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const open = place.querySelector("details[open]") !== null;
        place.replaceChildren(...[...fresh.body.childNodes].map((node) => document.importNode(node, true)));
        if (open) place.querySelector("details")?.setAttribute("open", "");
      }
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      if (mine === newest) say("The preview failed: the server does not answer.");
    } finally {
      if (mine === newest) place.removeAttribute("aria-busy");
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(preview, AFTER);
  }

  document.documentElement.classList.add("scripted");
  form.addEventListener("input", soon);
  form.addEventListener("submit", () => {
    // A second click while the first is under way would only be refused.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => { for (const button of form.querySelectorAll("button")) button.disabled = false; });
  if (form.querySelector("input[name=product_name]:checked")) soon();
})();

// The page of one instance: copies, reveals, reads the log and loads the charts in place. Without it each of these is a page.
"use strict";

(() => {
  const TIME_OUT = 15000;
  const CHARTS_EVERY = 60000;
  const HIDE_AFTER = 300000;
  document.documentElement.classList.add("scripted");

  function textOf(button) {
    return button.closest(".copyable").querySelector("code").textContent;
  }

  // The clipboard of old: the modern one is kept from pages that come without TLS.
  function copyBySelection(text) {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    field.setAttribute("readonly", "");
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }

  async function copy(button) {
    const text = textOf(button);
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyBySelection(text);
      button.focus();
    }
    const before = button.dataset.said || button.textContent;
    button.dataset.said = before;
    button.textContent = done ? "Copied" : "Select it by hand";
    announce(done ? "Copied" : "It could not be copied");
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  let told = null;
  function announce(text) {
    if (!told) {
      told = document.createElement("p");
      told.className = "unseen";
      told.setAttribute("role", "status");
      document.body.append(told);
    }
    told.textContent = text;
  }

  function say(place, text) {
    const notice = document.createElement("p");
    notice.className = "notice warn";
    notice.textContent = text;
    place.replaceChildren(notice);
  }

  // What the server says for a part, also when it says why it cannot; anything else is told in our own words.
  async function fetchPart(place, address, options) {
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, {
        ...options,
        headers: { "X-Part": "1", Accept: "text/html" },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(TIME_OUT),
      });
      if (answer.type === "opaqueredirect") say(place, "You are signed out. Reload the page to sign in again.");
      else if (answer.status === 403) say(place, "Your account lacks the permission for this.");
      else if (answer.ok || answer.status === 503 || answer.status === 409) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const open = [...place.querySelectorAll("details[open]")].length > 0;
        place.replaceChildren(...[...fresh.body.childNodes].map((node) => document.importNode(node, true)));
        if (open) place.querySelector("details")?.setAttribute("open", "");
      } else say(place, `The server answers ${answer.status}. Try again.`);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      say(place, "The server does not answer. Try again.");
    } finally {
      place.removeAttribute("aria-busy");
    }
  }

  function load(place) {
    return fetchPart(place, place.dataset.load, {});
  }

  let hiding = 0;
  function hideRevealed(place) {
    clearTimeout(hiding);
    place.replaceChildren();
    document.getElementById("reveal").hidden = false;
  }

  async function send(form) {
    const place = document.getElementById(form.dataset.partInto);
    const button = form.querySelector("button[type=submit]");
    if (place.getAttribute("aria-busy")) return;
    button.disabled = true;
    await fetchPart(place, form.action, { method: "POST", body: new FormData(form) });
    button.disabled = false;
    const log = place.querySelector("pre.log");
    if (log) log.scrollTop = log.scrollHeight;
    if (form.id !== "reveal" || !place.querySelector(".doors")) return;
    form.hidden = true;
    const hide = document.createElement("button");
    hide.type = "button";
    hide.id = "hide-revealed";
    hide.textContent = "Hide them again";
    hide.addEventListener("click", () => {
      hideRevealed(place);
      form.querySelector("button[type=submit]").focus();
    });
    place.append(hide);
    hide.focus({ preventScroll: true });
    hiding = setTimeout(() => hideRevealed(place), HIDE_AFTER);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
    const link = event.target.closest("a[data-load-link]");
    const place = link && link.closest("[data-load]");
    if (place && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      place.dataset.load = link.getAttribute("href");
      load(place);
    }
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.dataset.partInto) return;
    event.preventDefault();
    send(event.target);
  });

  // Nobody is asked for a chart that nobody sees.
  const charts = document.querySelectorAll("[data-load]");
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || !("lazy" in entry.target.dataset)) continue;
      delete entry.target.dataset.lazy;
      load(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const chart of charts) watch.observe(chart);

  function reload() {
    for (const chart of charts) {
      const used = chart.querySelector("details[open]") || chart.contains(document.activeElement);
      if (!document.hidden && !used && !("lazy" in chart.dataset)) load(chart);
    }
  }
  setInterval(reload, CHARTS_EVERY);

  // What is measured and billed changes with the phase.
  const phase = () => document.querySelector("#part-head .badge")?.textContent;
  const live = document.getElementById("live");
  let before = phase();
  if (live) {
    new MutationObserver(() => {
      if (phase() === before) return;
      before = phase();
      reload();
    }).observe(live, { childList: true });
  }
})();

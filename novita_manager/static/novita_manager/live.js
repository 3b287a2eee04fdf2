// Keeps the part of a page inside [data-live] current: asks for it every three seconds, swaps only what changed, and says
// so when that fails. It also counts the ages of times. Nothing here is needed to read the page or to use its buttons.
"use strict";

(() => {
  const EVERY = 3000;
  const TIME_OUT = 10000;
  const live = document.querySelector("[data-live]");
  const stale = document.getElementById("stale");
  const shown = new Map();
  let etag = live ? live.dataset.etag : "";
  let lastGood = new Date();
  let timer = 0;
  let asking = false;

  function span(seconds) {
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    const [large, small, names] = seconds < 86400 ? [3600, 60, ["h", "min"]] : [86400, 3600, ["d", "h"]];
    const rest = Math.floor((seconds % large) / small);
    return `${Math.floor(seconds / large)} ${names[0]}` + (rest ? ` ${rest} ${names[1]}` : "");
  }

  function relative(moment) {
    const ahead = (moment - Date.now()) / 1000;
    if (Math.abs(ahead) < 3) return "now";
    return ahead > 0 ? `in ${span(Math.floor(ahead))}` : `${span(Math.floor(-ahead))} ago`;
  }

  function countAges() {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const at = Date.parse(time.dateTime);
      const text = relative(time.dataset.relative === "due" ? Math.max(at, Date.now()) : at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function countMoney() {
    for (const money of document.querySelectorAll("[data-per-hour]")) {
      const hours = Math.max(0, Date.now() - Date.parse(money.dataset.since)) / 3600000;
      const amount = Number(money.dataset.closed) + Number(money.dataset.perHour) * hours;
      const text = `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
      if (money.textContent !== text) money.textContent = text;
    }
  }

  function count() {
    countAges();
    countMoney();
  }

  // Somebody is writing here: what they wrote must not be swapped away under their hands.
  function isWrittenIn(part) {
    const here = document.activeElement;
    return part.contains(here) && here.matches("input:not([type=checkbox]), select, textarea");
  }

  // Ticks, what was written, and what was opened outlive the element that held them.
  function carryOver(from, to) {
    for (const old of from.querySelectorAll("input[id], details[id]")) {
      const twin = to.querySelector(`#${CSS.escape(old.id)}`);
      if (!twin) continue;
      if (old.localName === "details") twin.open = old.open;
      else if (old.type === "checkbox") twin.checked = old.checked && !twin.disabled;
      else if (old.value !== old.defaultValue) twin.value = old.value;
    }
  }

  // What the server sent for each part and keyed child, before the ages were counted.
  function remember(root) {
    for (const part of root.querySelectorAll("[data-part]")) {
      shown.set(part.id, part.outerHTML);
      if (part.dataset.keyed) {
        for (const child of root.querySelector(`#${part.dataset.keyed}`).children) shown.set(child.id, child.outerHTML);
      }
    }
  }

  function swapChildren(target, source) {
    let place = target.firstElementChild;
    const wanted = [...source.children];
    const kept = new Set(wanted.map((child) => child.id));
    for (const child of [...target.children]) if (!kept.has(child.id)) child.remove();
    place = target.firstElementChild;
    for (const child of wanted) {
      const present = document.getElementById(child.id);
      let current = present;
      if (!present || shown.get(child.id) !== child.outerHTML) {
        shown.set(child.id, child.outerHTML);
        current = document.importNode(child, true);
        if (present) {
          carryOver(present, current);
          if (place === present) place = current;
          present.replaceWith(current);
        }
        if (!present || present.dataset.state !== current.dataset.state) current.classList.add("changed");
      }
      if (place === current) place = current.nextElementSibling;
      else target.insertBefore(current, place);
    }
  }

  function swap(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement ? document.activeElement.id : "";
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const present = document.getElementById(part.id);
      if (!present || shown.get(part.id) === part.outerHTML || isWrittenIn(present)) continue;
      shown.set(part.id, part.outerHTML);
      if (part.dataset.keyed) swapChildren(document.getElementById(part.dataset.keyed), fresh.getElementById(part.dataset.keyed));
      else {
        const current = document.importNode(part, true);
        carryOver(present, current);
        present.replaceWith(current);
      }
    }
    const again = focused && document.getElementById(focused);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    count();
    document.dispatchEvent(new Event("live:swapped"));
  }

  function tellStale(why) {
    if (Date.now() - lastGood < EVERY * 2) return;
    stale.textContent = `This page stopped updating at ${lastGood.toLocaleTimeString()}: ${why}`;
    stale.hidden = false;
  }

  async function ask() {
    const answer = await fetch(live.dataset.live, {
      headers: { "If-None-Match": etag, Accept: "text/html" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(TIME_OUT),
    });
    if (answer.type === "opaqueredirect" || answer.status === 403) return "you are signed out. Reload it to sign in again.";
    if (answer.status === 404) return "what it shows is gone.";
    if (answer.status === 200) {
      swap(await answer.text());
      etag = answer.headers.get("ETag") || "";
    } else if (answer.status !== 304) {
      return `the server answers ${answer.status}. Trying again.`;
    }
    return "";
  }

  async function poll() {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    let problem = "the server does not answer. Trying again.";
    try {
      problem = await ask();
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    } finally {
      asking = false;
      timer = setTimeout(poll, EVERY);
    }
    if (problem) tellStale(problem);
    else {
      lastGood = new Date();
      stale.hidden = true;
    }
  }

  if (live) {
    remember(live);
    document.addEventListener("visibilitychange", poll);
    timer = setTimeout(poll, EVERY);
  }
  for (const message of document.querySelectorAll(".messages li")) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "quiet";
    close.textContent = "Dismiss";
    close.addEventListener("click", () => message.remove());
    message.append(" ", close);
  }
  count();
  setInterval(count, 1000);
})();

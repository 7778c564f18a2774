// Keeps the parts of a page that are marked data-live as the server has them. Without it the page is the same,
// and is reloaded by hand.
"use strict";

(() => {
  const { kinds, about = "", page = location.href } = document.body.dataset;
  const PAUSE_MS = 1000; // between two looks at the server, however much happens
  const RETRY_MS = 5000; // until the next try, when it does not answer or lets nobody watch
  const SLOTS = 4; // a browser opens six connections to a host: pages that watch leave two for everything else

  const shown = new Map(); // what the server last gave for each part, by its id
  const opened = new Map(); // what was opened or closed by hand, by its place
  let source = null;
  let release = null; // gives back the slot that the source holds
  let timer = null; // until the next look
  let waiting = null; // until the next try to watch
  let looking = false;
  let lookedAt = 0;
  let missed = false; // something happened while the page was being fetched
  let heldBack = false; // a part was left as it was, as somebody was busy with it
  let pressed = false;
  let over = !kinds;

  const parts = () => document.querySelectorAll("[data-live][id]");
  const keysIn = (part) => new Set([...part.querySelectorAll("[data-key]")].map((row) => row.dataset.key));

  function say(text, lost) {
    const state = document.getElementById("live-state");
    if (!state || state.textContent === text) return;
    state.textContent = text;
    state.classList.toggle("lost", lost);
  }

  // An element's place is its id, or else the row or part that it is in, and which of its kind it is there: so it
  // is found again in what the server gives anew.
  const around = (element) => element.parentElement.closest("[data-key], [id]");
  const inside = (owner, kind) => [...owner.querySelectorAll(kind)].filter((element) => around(element) === owner);

  function placeOf(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const owner = around(element);
    const name = owner.id ? `#${CSS.escape(owner.id)}` : `[data-key="${CSS.escape(owner.dataset.key)}"]`;
    return [name, element.localName, inside(owner, element.localName).indexOf(element)].join("\n");
  }

  function at(place, part) {
    const [name, kind, nth] = place.split("\n");
    const owner = part.matches(name) ? part : part.querySelector(name);
    return owner && kind ? inside(owner, kind)[nth] : owner;
  }

  const changedByHand = (field) =>
    field.localName === "select"
      ? field.selectedIndex !== Math.max([...field.options].findIndex((option) => option.defaultSelected), 0)
      : field.value !== field.defaultValue || field.checked !== field.defaultChecked;

  // Nobody loses what they type, press or have marked to copy.
  function isBusy(part, focused) {
    const marked = getSelection();
    return pressed ||
      focused?.matches("input, select, textarea") ||
      (!marked.isCollapsed && marked.getRangeAt(0).intersectsNode(part)) ||
      [...part.querySelectorAll("input:not([type=hidden]), select, textarea")].some(changedByHand);
  }

  function replace(old, fresh) {
    const html = fresh.innerHTML;
    if (shown.get(old.id) === html) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && placeOf(focused);
    if (isBusy(old, focused) || (place && !at(place, fresh))) {
      heldBack = true;
      return;
    }
    const known = keysIn(old);
    for (const row of fresh.querySelectorAll("[data-key]")) {
      if (!known.has(row.dataset.key)) row.classList.add("new");
    }
    for (const [where, open] of opened) {
      const details = at(where, fresh);
      if (details) details.open = open;
    }
    const scrolled = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    old.replaceWith(fresh);
    shown.set(fresh.id, html);
    fresh.querySelectorAll(".scroll").forEach((box, nth) => { box.scrollLeft = scrolled[nth] || 0; });
    if (place) at(place, fresh).focus({ preventScroll: true });
  }

  async function look() {
    timer = null;
    if (over || document.hidden) return;
    if (looking) {
      missed = true;
      return;
    }
    looking = true;
    lookedAt = Date.now();
    heldBack = false;
    try {
      const answer = await fetch(page, { headers: { Accept: "text/html" }, redirect: "manual" });
      if (answer.type === "opaqueredirect" || (answer.status >= 400 && answer.status < 500)) {
        end(answer.status === 0 ? "Not live: signed out" : "Not live: reload the page");
      } else if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of parts()) {
          const same = fresh.getElementById(part.id);
          if (same) replace(part, same);
        }
        const token = fresh.querySelector("[name=csrf]"); // another one, after a restart
        for (const field of document.querySelectorAll("[name=csrf]")) field.value = token?.value ?? field.value;
        if (source?.readyState === EventSource.OPEN) say("Live", false);
      } else {
        throw new Error(answer.statusText);
      }
    } catch {
      lost();
    }
    looking = false;
    if (missed) {
      missed = false;
      changed();
    }
  }

  function soon(pause) {
    if (!over) timer ??= setTimeout(look, pause);
  }

  function changed() {
    soon(Math.max(lookedAt + PAUSE_MS - Date.now(), 0));
  }

  function lost() {
    if (over || document.hidden) return;
    say("Not live: the simulator does not answer", true);
    if (!source) soon(RETRY_MS);
  }

  // -- watching: told by the server what happens, in one of the slots; where none is free, looking now and then --

  function watch() {
    if (over || document.hidden || source) return;
    if (!navigator.locks) return void listen(); // as where a page came over the network, without TLS
    const take = (slot) => navigator.locks.request(`mesh-sim watches ${slot}`, { ifAvailable: true }, (lock) => {
      if (source || over || document.hidden) return undefined;
      if (lock) return listen();
      if (slot < SLOTS) return void take(slot + 1);
      say("Live, every few seconds", false);
      soon(RETRY_MS);
      watchLater();
      return undefined;
    });
    take(1);
  }

  function watchLater() {
    waiting ??= setTimeout(() => { waiting = null; watch(); }, RETRY_MS);
  }

  function listen() {
    source = new EventSource(`/live?${new URLSearchParams({ kinds: `${kinds},clock`, about })}`);
    source.addEventListener("open", changed); // what happened before is not told
    source.addEventListener("changed", changed);
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) {
        leave(); // the server refuses, as where too many watch: it is looked at whether it gives the page
        say("Live, every few seconds", false);
        soon(RETRY_MS);
        watchLater();
      } else {
        lost();
      }
    });
    return new Promise((resolve) => { release = resolve; });
  }

  function leave() {
    source?.close();
    source = null;
    release?.();
    release = null;
  }

  function end(text) {
    over = true;
    leave();
    say(text, true);
  }

  // A page that nobody looks at gives its connection back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      leave();
    } else {
      watch();
      changed();
    }
  });

  for (const [event, down] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
    document.addEventListener(event, ({ button }) => { pressed = down && button === 0; });
  }
  for (const event of ["pointerup", "focusout", "selectionchange", "change"]) {
    document.addEventListener(event, () => { if (heldBack) changed(); });
  }
  document.addEventListener("click", (click) => {
    const details = click.target.closest("summary")?.parentElement;
    if (details?.closest("[data-live]")) opened.set(placeOf(details), !details.open);
  });

  // The simulated clock goes on like any other.
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (number) => String(number).padStart(2, "0");
  let ticking = null;
  let ahead = 0;
  function tick() {
    const clock = document.querySelector("[data-ticks]");
    if (!clock) return;
    if (ticking !== clock) {
      ticking = clock;
      ahead = Date.parse(clock.dateTime) - Date.now();
    }
    const now = new Date(ahead + Date.now());
    clock.textContent = `${now.getUTCDate()} ${months[now.getUTCMonth()]} ${now.getUTCFullYear()}, ` +
      `${two(now.getUTCHours())}:${two(now.getUTCMinutes())}:${two(now.getUTCSeconds())}`;
  }

  for (const part of parts()) shown.set(part.id, part.innerHTML);
  tick();
  setInterval(tick, 1000);
  watch();
})();

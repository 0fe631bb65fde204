// Events on their way: each lies under a name of its own in the browser's storage until the server has it, so that neither a
// closed tab nor two tabs at once lose any; sent twice, the server counts it once by its id.

import { names, read, remove, newId, write } from "./store.js";

const PREFIX = "_abe.";
const MOST_BYTES = 60000; // browsers refuse keepalive bodies above 64 KiB in flight
const MOST_EVENTS = 200;
const MOST_WAITING = 2000;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 300000;

/** Return { add, flush, clear }; `mayStore()` says whether anything may be kept and sent now. */
export function queueTo(address, mayStore) {
  const underWay = new Set();
  let waits = 0;
  let notBefore = 0;
  let timer;
  let isRefused = false;

  const soon = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(flush, wait);
  };

  function add(event) {
    if (!mayStore() || names(PREFIX).length >= MOST_WAITING) return false;
    const id = newId();
    // The time comes first, so that they are sent in order.
    write(PREFIX + Date.now() + "." + id, JSON.stringify({ event_id: id, timestamp: new Date().toISOString(), ...event }));
    soon(Math.max(300, notBefore - Date.now()));
    return true;
  }

  function flush(isLeaving) {
    const early = notBefore - Date.now();
    if (isRefused || !mayStore() || (isLeaving !== true && underWay.size)) return;
    // Timers may be a little early, so it is not enough that one was set.
    if (isLeaving !== true && early > 0) return soon(early + 1);
    const batch = [];
    const texts = [];
    let bytes = 0;
    for (const name of names(PREFIX)) {
      const text = underWay.has(name) ? null : read(name);
      if (!text) continue;
      const size = text.length * 3; // at most, in UTF-8
      if (batch.length >= MOST_EVENTS || (batch.length && bytes + size > MOST_BYTES)) break;
      batch.push(name);
      texts.push(text);
      bytes += size;
    }
    if (!batch.length) return;
    batch.forEach((name) => underWay.add(name));
    fetch(address, {
      method: "POST",
      body: `{"sent_at":"${new Date().toISOString()}","events":[${texts}]}`,
      headers: { "Content-Type": "text/plain" }, // no preflight
      credentials: "omit",
      // Only for a page that goes: all such requests of a browser share a small allowance.
      keepalive: isLeaving === true,
    })
      .then((reply) => {
        // What can never be read is gone; everything else is tried again.
        if (reply.ok || reply.status == 400 || reply.status == 413) {
          batch.forEach(remove);
          waits = notBefore = 0;
          return;
        }
        isRefused = reply.status == 401 || reply.status == 403;
        later(+reply.headers.get("Retry-After") * 1000);
      }, later)
      .then(() => {
        batch.forEach((name) => underWay.delete(name));
        soon(Math.max(0, notBefore - Date.now()));
      });
  }

  function later(asked) {
    const wait = Math.min(FIRST_WAIT * 2 ** waits++, LONGEST_WAIT) * (0.5 + Math.random());
    notBefore = Date.now() + Math.max(wait, asked > 0 ? asked : 0);
  }

  const clear = () => names(PREFIX).forEach(remove);

  return { add, flush, clear };
}

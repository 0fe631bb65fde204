// Inkling's browser client. Built into one file by `make browser`; what it does is told in docs/browser.md.

import { applyChanges, isHere } from "./changes.js";
import { addStyle, elements, listen, onElements, whenRead } from "./dom.js";
import { evaluate } from "./evaluate.js";
import { queueTo } from "./queue.js";
import { watch } from "./recipes.js";
import { cookie, newId, note, read, recall, remove, setCookie, write } from "./store.js";

const VISITOR = "_ab";
const CONSENT = "_abc";
const YEAR_AND_MORE = 34560000; // 400 days, the longest that browsers keep a cookie
const LINK_SECONDS = 120;

function begin(script) {
  const { key, host, hide, limit, consent, hosts, auto } = script.dataset;
  const nonce = script.nonce;
  const base = host || new URL(script.src).origin;
  const trusted = list(hosts);
  const queued = (window.ab && window.ab.q) || [];
  const isBot = navigator.webdriver;
  const ready = [];
  const own = {}; // the attributes that the page itself gave
  const told = new Set();
  let payload = null;
  let id = null;
  let isLate = false;
  let running = {};

  // --- who, and whether anything may be kept ---

  const mayStore = () => {
    const said = cookie(CONSENT);
    return !isBot && (said ? said > 0 : consent != "required" && !navigator.globalPrivacyControl);
  };

  const visitor = () => {
    if (id) return id;
    const known = mayStore() && (cookie(VISITOR) || read(VISITOR));
    id = known || (mayStore() && linked) || newId();
    if (mayStore()) keep();
    if (known && linked && known != linked) queue.add({ name: "$alias", visitor_id: id, properties: { alias: linked } });
    return id;
  };

  const keep = () => {
    setCookie(VISITOR, id, YEAR_AND_MORE);
    write(VISITOR, id);
  };

  /** Return the id that a link from another of the site's hosts carries, and clean the address. */
  function arrived() {
    const found = /[?&]_ab=([\w-]{8,64})\.([0-9a-z]+)/.exec(query);
    if (!found || !trusted.length) return;
    const address = new URL(location);
    address.searchParams.delete(VISITOR);
    history.replaceState(history.state, "", address);
    if (seconds() - parseInt(found[2], 36) < LINK_SECONDS) return found[1];
  }

  const query = location.search;
  const linked = arrived();

  const queue = queueTo(`${base}/api/v1/events?consent=1&key=${encodeURIComponent(key)}`, mayStore);

  // --- what is known of the visit ---

  const referrer = document.referrer ? new URL(document.referrer).host : "";
  const is = (what) => RegExp(what, "i").test(navigator.userAgent);
  const device = is("ipad|tablet|android(?!.*mobi)") ? "tablet" : is("mobi") ? "mobile" : "desktop";
  const source =
    recall("_abs") || new URLSearchParams(query).get("utm_source") || (referrer && referrer != location.host ? referrer : "direct");
  note("_abs", source);

  const attributes = () => ({
    url: location.href,
    path: location.pathname,
    query: location.search,
    device,
    source,
    referrer,
    language: navigator.language,
    ...own,
    id: visitor(),
  });

  // --- experiments ---

  const send = (name, properties, value) =>
    queue.add({
      name,
      visitor_id: visitor(),
      properties: properties || {},
      context: { device, source, page: location.pathname },
      value: value ?? undefined,
    });

  const expose = ({ experiment, variant }) => {
    if (!experiment || told.has(experiment + "\n" + variant)) return;
    told.add(experiment + "\n" + variant);
    send("$exposure", { experiment, variant });
  };

  const found = (name) => {
    const feature = payload && payload.features[name];
    return feature && !isBot ? evaluate(feature, attributes()) : {};
  };

  const variant = (name) => {
    const one = found(name);
    expose(one);
    return one.variant || null;
  };

  const value = (name, otherwise) => {
    const one = found(name);
    expose(one);
    return one.value === undefined ? otherwise : one.value;
  };

  /** Run the experiments that change this page, and undo those that no longer do. */
  const run = () => {
    const features = (!isLate && payload && payload.features) || {};
    for (const name in features) {
      const rule = features[name].rules.find((one) => one.values) || { values: [] };
      const all = rule.values.filter((one) => one && (one.changes || one.css || one.redirect));
      const meant = all.length && all.some((one) => isHere(one.url));
      if (!meant && running[name]) {
        running[name]();
        delete running[name];
      }
      if (!meant || running[name]) continue;
      // Who sees none of what any variant changes is not part of it; the same is asked in every variant.
      const selectors = all.flatMap((one) => (one.changes || []).map((change) => change.selector));
      whenThere(name, all.some((one) => one.css || one.redirect) ? [] : selectors, () => {
        const one = found(name);
        expose(one);
        const wanted = one.value || {};
        if (wanted.redirect && one.variant) return redirect(wanted.redirect);
        if (isHere(wanted.url)) return applyChanges(wanted, nonce);
      });
    }
  };

  const whenThere = (name, selectors, act) => {
    const look = () => {
      if (selectors.length && !selectors.some((selector) => elements(selector).length)) return;
      running[name]();
      running[name] = act() || (() => {});
    };
    running[name] = onElements(look);
    look();
  };

  const redirect = (to) => {
    const target = new URL(to, location.href);
    if (!/^https?:$/.test(target.protocol) || target.href.split(/[?#]/)[0] == location.href.split(/[?#]/)[0]) return;
    new URLSearchParams(location.search).forEach((text, name) => target.searchParams.set(name, text));
    queue.flush(true);
    location.replace(target);
  };

  // --- what hides until it is decided ---

  let reveal = () => {};
  if (hide) {
    reveal = addStyle(`${hide}{opacity:0!important}`, nonce);
    setTimeout(
      () => {
        // Too late for this page view: no variant, and so nobody to count.
        isLate = !payload;
        reveal();
      },
      Math.min(+limit || 800, 1000),
    );
  }

  // --- what the page may call ---

  const calls = {
    variant,
    value,
    track: send,
    /** From login on: what this browser did and what the person does elsewhere is one visitor's. */
    identify: (user) => queue.add({ name: "$alias", visitor_id: visitor(), properties: { alias: user + "", user: user + "" } }),
    attributes: (more) => {
      Object.assign(own, more);
      run();
    },
    ready: (act) => (payload ? act(ab) : ready.push(act)),
    /** Say yes or no; a no deletes the id and whatever waits to be sent. */
    consent: (yes) => {
      if (yes) {
        setCookie(CONSENT, 1, YEAR_AND_MORE);
        visitor();
        keep();
        told.clear();
        return run();
      }
      setCookie(CONSENT, 0, YEAR_AND_MORE);
      queue.clear();
      setCookie(VISITOR, "", 0);
      remove(VISITOR);
      id = null;
    },
    id: visitor,
  };
  const ab = (name, ...given) => {
    try {
      return calls[name](...given);
    } catch (error) {
      // The page must never break because of us.
      console.error("Inkling:", error);
    }
  };
  window.ab = Object.assign(ab, calls);

  // --- begin ---

  const arrive = (document_) => {
    const isFirst = !payload;
    payload = document_;
    if (!isFirst) return;
    queued.forEach((given) => ab(...given));
    run();
    whenRead(reveal);
    ready.forEach((act) => ab("ready", act));
    const again = watch({ ...payload.auto, ...chosen }, send);
    onMove(() => {
      run();
      again();
    });
  };

  // The recipes that the tag itself names, as in data-auto="pages scroll".
  const chosen = Object.fromEntries(list(auto).map((name) => [name, true]));

  const address = `${base}/api/browser/${encodeURIComponent(key)}`;
  const kept = recall("_abp" + key);
  if (window.abPayload) arrive(window.abPayload);
  else if (kept) arrive(JSON.parse(kept));
  fetch(address, { credentials: "omit" })
    .then((reply) => (reply.ok ? reply.json() : null))
    .then((fresh) => {
      if (!fresh) return reveal();
      note("_abp" + key, JSON.stringify(fresh));
      arrive(fresh);
    }, reveal);

  const leave = () => queue.flush(true);
  listen("visibilitychange", () => document.hidden && leave());
  listen("pagehide", leave, window);
  listen("pageshow", (event) => event.persisted && (run(), queue.flush()), window);
  listen("click", ({ target }) => {
    const link = target.closest && target.closest("a[href]");
    if (!link || !trusted.includes(link.hostname) || link.hostname == location.hostname || !mayStore()) return;
    const to = new URL(link.href);
    to.searchParams.set(VISITOR, `${visitor()}.${seconds().toString(36)}`);
    link.href = to;
  });
  queue.flush();
}

const seconds = () => Math.floor(Date.now() / 1000);
const list = (text) => (text || "").split(" ").filter(Boolean);

/** Call `act` whenever the page's address has changed without a new page. */
function onMove(act) {
  let last = location.href;
  const look = () => {
    if (location.href == last) return;
    last = location.href;
    act();
  };
  for (const name of ["pushState", "replaceState"]) {
    const before = history[name];
    history[name] = function (...given) {
      const result = before.apply(this, given);
      setTimeout(look);
      return result;
    };
  }
  listen("popstate", () => setTimeout(look), window);
}

const script = document.currentScript || document.querySelector("script[data-key][src*='/ab']");
if (script && script.dataset.key && !(window.ab && window.ab.id)) begin(script);

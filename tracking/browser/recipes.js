// Micro conversions without code: attributes in the page, and the usual small steps by recipe, each only where the site asked for it.

import { elements, listen, onElements, page } from "./dom.js";
import { note, recall } from "./store.js";

const FILES = /\.(pdf|zip|docx?|xlsx?|pptx?|csv|epub|dmg|exe|apk|mp[34])$/i;
const SHARING = /(facebook|twitter|\bx|linkedin|pinterest|reddit|\bt)\.[a-z.]+\/(sharer?|dialog|intent|pin|submit)|wa\.me\//i;
const SECONDS = [10, 30, 60, 180];
const QUARTERS = [25, 50, 75, 100];

const nameOf = (form) => form.id || form.name || location.pathname;

/** Watch the page; `track(name, properties, value)` sends. Returns a function to call when the page's address has changed. */
export function watch(auto, track) {
  declared(track);
  const again = [];
  const wants = (name, act) => auto[name] && act(auto[name]);

  wants("pages", () => {
    const view = () => {
      const depth = (+recall("_abd") || 0) + 1;
      note("_abd", depth);
      track("page_view", { depth, page: location.pathname });
    };
    view();
    again.push(view);
  });

  wants("scroll", () => {
    let left = [...QUARTERS];
    const look = () => {
      const share = ((scrollY + innerHeight) / Math.max(page.scrollHeight, 1)) * 100;
      while (left.length && share >= left[0] - 1) track("scroll", { percent: left.shift() });
    };
    listen("scroll", look, window);
    again.push(() => (left = [...QUARTERS]));
  });

  wants("time", () => {
    let left = [...SECONDS];
    let spent = 0;
    let active = Date.now();
    for (const name of ["pointermove", "keydown", "scroll", "touchstart"]) listen(name, () => (active = Date.now()), window);
    setInterval(() => {
      // Time counts while the page is seen and somebody does something now and then.
      if (document.hidden || Date.now() - active > 15000) return;
      spent++;
      if (spent >= left[0]) track("engaged", { seconds: left.shift() });
    }, 1000);
    again.push(() => ((left = [...SECONDS]), (spent = 0)));
  });

  const started = new Set();
  wants("forms", () => {
    listen("input", ({ target }) => {
      const form = target.form;
      if (!form || started.has(form)) return;
      started.add(form);
      track("form_start", { form: nameOf(form) });
    });
    const abandon = () => {
      for (const form of started) track("form_abandon", { form: nameOf(form) });
      started.clear();
    };
    listen("pagehide", abandon, window);
    again.push(abandon);
  });

  listen("submit", ({ target }) => {
    started.delete(target);
    if (auto.forms) track("form_submit", { form: nameOf(target) });
    if (auto.search && (target.getAttribute("role") == "search" || target.querySelector("[type=search]"))) track("search");
    if (auto.newsletter && target.querySelector("[type=email]") && !target.querySelector("[type=password]"))
      track("newsletter");
  });

  wants("video", () => {
    const told = new WeakMap();
    const once = (video, name, properties, key = name) => {
      const known = told.get(video) || told.set(video, new Set()).get(video);
      if (!known.has(key)) track(name, { video: video.id || video.currentSrc.split("/").pop(), ...properties });
      known.add(key);
    };
    listen("play", ({ target }) => once(target, "video_start"));
    listen("ended", ({ target }) => once(target, "video_complete"));
    listen("timeupdate", ({ target }) => {
      const share = (target.currentTime / target.duration) * 100;
      for (const percent of [25, 50, 75]) if (share >= percent) once(target, "video_progress", { percent }, percent);
    });
  });

  listen("click", ({ target }) => {
    if (!target.closest) return;
    for (const [recipe, name] of [
      ["cart", "add_to_cart"],
      ["wishlist", "wishlist"],
    ])
      if (auto[recipe] && elements(auto[recipe]).some((one) => one.contains(target))) track(name);
    const link = target.closest("a[href]");
    if (!link) return;
    if (auto.share && SHARING.test(link.href)) return track("share");
    if (auto.download && (link.hasAttribute("download") || FILES.test(link.pathname)))
      return track("download", { file: link.pathname.split("/").pop() });
    if (auto.outbound && /^http/.test(link.protocol) && link.host != location.host) track("outbound", { host: link.host });
  });

  return () => again.forEach((act) => act());
}

/** Send what attributes in the page declare: data-ab-click, data-ab-submit, data-ab-view, with data-ab-value and data-ab-props. */
function declared(track) {
  const send = (element, attribute) => {
    let properties = {};
    try {
      properties = JSON.parse(element.dataset.abProps || "{}");
    } catch {
      console.warn("data-ab-props is not JSON", element);
    }
    const value = element.dataset.abValue;
    track(element.dataset[attribute], properties, value && isFinite(value) ? +value : undefined);
  };
  for (const [event, attribute, selector] of [
    ["click", "abClick", "[data-ab-click]"],
    ["submit", "abSubmit", "[data-ab-submit]"],
  ])
    listen(event, ({ target }) => {
      const element = target.closest && target.closest(selector);
      if (element) send(element, attribute);
    });

  const observer = new IntersectionObserver((entries) =>
    entries.forEach(({ isIntersecting, target }) => {
      if (!isIntersecting) return;
      observer.unobserve(target);
      send(target, "abView");
    }),
  );
  const known = new WeakSet();
  const look = () =>
    elements("[data-ab-view]").forEach((element) => {
      if (known.has(element)) return;
      known.add(element);
      observer.observe(element);
    });
  look();
  onElements(look);
}

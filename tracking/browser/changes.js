// Changes of the page that a variant's payload asks for: texts, styles, attributes, classes; undone when they no longer apply.

import { addStyle, elements, isWhole, onElements, whenRead } from "./dom.js";

/** Apply changes now and to elements that come later; return a function that undoes them. */
export function applyChanges({ changes = [], css }, nonce) {
  const undo = [];
  const seen = changes.map(() => new WeakSet());
  if (css) undo.push(addStyle(css, nonce));
  const apply = () =>
    changes.forEach((change, index) =>
      elements(change.selector).forEach((element) => {
        if (seen[index].has(element) || !isWhole(element)) return;
        seen[index].add(element);
        alter(element, change, undo);
      }),
    );
  whenRead(apply);
  const end = onElements(apply);

  return () => {
    // First the watching, or it would apply again what is being undone.
    end();
    while (undo.length) undo.pop()();
  };
}

function alter(element, change, undo) {
  if (change.text != null) {
    const before = [...element.childNodes];
    undo.push(() => element.replaceChildren(...before));
    element.replaceChildren(change.text);
  }
  for (const name in change.style || {}) {
    const before = element.style.getPropertyValue(name);
    undo.push(() => element.style.setProperty(name, before));
    element.style.setProperty(name, change.style[name]);
  }
  for (const name in change.attr || {}) {
    // Handlers and scripts in addresses are no changes of the page, and a policy would forbid them.
    if (/^on/i.test(name) || /^\s*javascript:/i.test(change.attr[name])) continue;
    const before = element.getAttribute(name);
    undo.push(() => (before === null ? element.removeAttribute(name) : element.setAttribute(name, before)));
    element.setAttribute(name, change.attr[name]);
  }
  for (const [names, isOn] of [
    [change.add, true],
    [change.remove, false],
  ])
    for (const name of (names || "").split(" ").filter(Boolean)) {
      const before = element.classList.contains(name);
      undo.push(() => element.classList.toggle(name, before));
      element.classList.toggle(name, isOn);
    }
}

/** Say whether this page is meant: patterns with `*`, of the path or of the whole address without its query. */
export function isHere(patterns) {
  const page = [].concat(patterns || []);
  return (
    !page.length ||
    page.some((one) => {
      const source = one.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*");
      return new RegExp(`^${source}$`).test(one[0] == "/" ? location.pathname : location.origin + location.pathname);
    })
  );
}

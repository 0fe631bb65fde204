// Small helpers around the page, used everywhere.

export const page = document.documentElement;

export const listen = (name, act, target = document) =>
  target.addEventListener(name, act, { capture: true, passive: true });

/** Call `act` once the whole page has been read. */
export const whenRead = (act) => (document.readyState == "loading" ? listen("DOMContentLoaded", act) : act());

/** Say whether the parser has gone past an element; before that, more may be put into it. */
export const isWhole = (element) =>
  document.readyState != "loading" || (element && (element.nextSibling || isWhole(element.parentNode)));

/** Call `act` whenever elements come or go; return a function that ends it. */
export const onElements = (act) => {
  const observer = new MutationObserver(act);
  observer.observe(page, { childList: true, subtree: true });
  return () => observer.disconnect();
};

/** Add a style sheet that a content security policy with this nonce lets through; return a function that removes it. */
export const addStyle = (text, nonce) => {
  const style = document.createElement("style");
  style.nonce = nonce;
  style.textContent = text;
  page.append(style);
  return () => style.remove();
};

/** Return the elements of a selector; none for one that cannot be read. */
export const elements = (selector) => {
  try {
    return [...document.querySelectorAll(selector)];
  } catch {
    return [];
  }
};

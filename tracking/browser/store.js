// What the browser keeps: a cookie for the visitor's id, and entries that survive the page. No access may ever throw; what cannot
// be stored is kept in memory.

const memory = {};

const attempt = (act) => {
  try {
    return act();
  } catch {}
};

export const read = (name) => memory[name] ?? attempt(() => localStorage.getItem(name));

export const write = (name, value) => {
  memory[name] = value;
  attempt(() => {
    localStorage.setItem(name, value);
    delete memory[name];
  });
};

export const remove = (name) => {
  delete memory[name];
  attempt(() => localStorage.removeItem(name));
};

/** Return the names that begin with `prefix`, in order. */
export const names = (prefix) =>
  Object.keys({ ...attempt(() => localStorage), ...memory })
    .filter((name) => name.startsWith(prefix))
    .sort();

/** The same for as long as the tab is open. */
export const recall = (name) => attempt(() => sessionStorage.getItem(name));
export const note = (name, value) => attempt(() => sessionStorage.setItem(name, value));

// crypto.randomUUID would be shorter and is missing on pages without HTTPS.
export const newId = () => crypto.getRandomValues(new Uint8Array(16)).reduce((id, n) => id + (n + 256).toString(16).slice(1), "");

export const cookie = (name) => (`; ${document.cookie}`.split(`; ${name}=`)[1] || "").split(";")[0];

/** Set a cookie for the widest domain that takes it, so that subdomains share it; an age of 0 deletes it. */
export const setCookie = (name, value, age) => {
  const parts = location.hostname.split(".");
  for (let i = parts.length - 1; i >= 0; i--) {
    // Browsers refuse a domain that is no domain of one's own, such as "com".
    const domain = i ? `;domain=${parts.slice(i - 1).join(".")}` : "";
    document.cookie = `${name}=${value};path=/;max-age=${age};samesite=lax${domain}${location.protocol == "https:" ? ";secure" : ""}`;
    if (cookie(name) == value) return;
  }
};

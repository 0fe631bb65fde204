// Where a visitor stands under a seed: GrowthBook's hash, version 2, the same as the server's.

function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Return the place in [0, 1) of a value under a seed. */
export const place = (seed, value) => (fnv1a(fnv1a(seed + value) + "") % 10000) / 10000;

/** Return the text that is hashed for an attribute; empty for what identifies nobody. */
export const hashText = (value) => (typeof value == "object" || !value ? "" : value + "");

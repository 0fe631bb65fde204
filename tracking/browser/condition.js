// Audience conditions with the same rules of comparison as the server (experiments/core/targeting.py), in the small form that it
// sends (experiments/core/browser.py).

const isList = Array.isArray;
const isObject = (value) => value && typeof value == "object" && !isList(value);
const lower = (value) => (typeof value == "string" ? value.toLowerCase() : value);
const absent = (value) => value === undefined || value === null;

const typeOf = (value) => (absent(value) ? "null" : isList(value) ? "array" : typeof value);

/** Return a version as a text that sorts as versions do. */
const version = (value) => {
  const parts = (typeof value == "number" ? value + "" : typeof value == "string" && value ? value : "0")
    .replace(/(^v|\+.*$)/g, "")
    .split(/[-.]/);
  if (parts.length == 3) parts.push("~");
  return parts.map((part) => (/^[0-9]+$/.test(part) ? part.padStart(5) : part)).join("-");
};

const member = (value, list, fold) => {
  const has = (one) => list.some((other) => fold(other) === fold(absent(one) ? null : one));
  return isList(value) ? value.some(has) : has(value);
};

const all = (value, wanted, fold) =>
  isList(value) && wanted.every((one) => value.some((other) => holds(one, other, fold)));

const OPERATORS = {
  $all: (value, wanted) => all(value, wanted),
  $alli: (value, wanted) => all(value, wanted, true),
  $in: (value, wanted) => member(value, wanted, (x) => x),
  $ini: (value, wanted) => member(value, wanted, lower),
  $elemMatch: (value, wanted) =>
    isList(value) &&
    value.some((one) =>
      isOperators(wanted) ? !absent(one) && holds(wanted, one) : isObject(one) && matches(one, wanted),
    ),
  $size: (value, wanted) => isList(value) && holds(wanted, value.length),
  $exists: (value, wanted) => !wanted == absent(value),
  $type: (value, wanted) => typeOf(value) === wanted,
  $not: (value, wanted) => !wanted.some((one) => holds(one, value)),
  $regex: (value, wanted) => new RegExp(wanted).test(value),
  $regexi: (value, wanted) => new RegExp(wanted, "i").test(value),
};

// Comparisons come for values and, with a v, for versions.
const compare = (name, test) => {
  OPERATORS["$" + name] = test;
  OPERATORS["$v" + name] = (value, wanted) => test(version(value), version(wanted));
};
compare("eq", (a, b) => a === b);
compare("lt", (a, b) => a < b);
compare("lte", (a, b) => a <= b);
compare("gt", (a, b) => a > b);
compare("gte", (a, b) => a >= b);

const isOperators = (wanted) => {
  const names = isObject(wanted) ? Object.keys(wanted) : [];
  return names.length > 0 && names.every((name) => name[0] == "$");
};

/** Say whether one attribute's value is as wanted; `fold` ignores case of texts. */
function holds(wanted, value, fold) {
  if (absent(value)) value = null;
  if (typeof wanted == "string") return fold ? lower(value + "") === lower(wanted) : value + "" === wanted;
  if (typeof wanted == "number") return value * 1 === wanted;
  if (typeof wanted == "boolean") return value !== null && !!value === wanted;
  if (!isOperators(wanted)) return JSON.stringify(value) === JSON.stringify(wanted);
  return Object.keys(wanted).every((name) => OPERATORS[name](value, wanted[name]));
}

const at = (value, path) => {
  for (const part of path.split(".")) {
    if (!isObject(value) && !isList(value)) return null;
    value = value[part];
  }
  return value;
};

/** Say whether the attributes meet a condition. */
export const matches = (attributes, condition) =>
  Object.keys(condition).every((name) => {
    const wanted = condition[name];
    const one = (part) => matches(attributes, part);
    if (name == "$or") return !wanted.length || wanted.some(one);
    if (name == "$and") return wanted.every(one);
    if (name == "$not") return !one(wanted);
    return holds(wanted, at(attributes, name));
  });

// What a visitor gets of a feature, as the server would answer.

import { matches } from "./condition.js";
import { hashText, place } from "./hash.js";

/** Return the index of the range in which the visitor stands; -1 for none. */
const spot = ({ seed, by, ranges }, attributes) => {
  const value = hashText(attributes[by]);
  const at = value && place(seed, value);
  return value ? ranges.findIndex(([low, high]) => at >= low && at < high) : -1;
};

/** Return { value }, and for a visitor in an experiment also its `experiment` and `variant`. */
export function evaluate(feature, attributes) {
  for (const rule of feature.rules) {
    if (!matches(attributes, rule.if) || rule.in.some((gate) => spot(gate, attributes) < 0)) continue;
    if ("force" in rule) return { value: rule.force };
    const index = spot(rule, attributes);
    if (index >= 0) return { value: rule.values[index], experiment: rule.experiment, variant: rule.variants[index] };
  }
  return { value: feature.value };
}

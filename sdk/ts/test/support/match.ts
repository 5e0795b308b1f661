/** Whether a value is what a scenario expects: objects by the members that are named, lists by length, the rest exactly. */
export function matches(expected: any, value: any): boolean {
  if (expected === null) return value === null || value === undefined;
  if (Array.isArray(expected)) {
    return Array.isArray(value) && value.length === expected.length && expected.every((e, i) => matches(e, value[i]));
  }
  if (typeof expected === "object") {
    return typeof value === "object" && value !== null && Object.entries(expected).every(([name, e]) => matches(e, value[name]));
  }
  return expected === value;
}

/** The value with every reference `$name` in its strings replaced. */
export function resolve(value: any, names: Map<string, unknown>): any {
  if (typeof value === "string") {
    const whole = /^\$(\w+)$/.exec(value);
    if (whole && names.has(whole[1]!)) return names.get(whole[1]!);
    return value.replace(/\$(\w+)/g, (text, name) => (names.has(name) ? String(names.get(name)) : text));
  }
  if (Array.isArray(value)) return value.map((v) => resolve(v, names));
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([n, v]) => [n, resolve(v, names)]));
  return value;
}

// Elements without a framework.

/** $ finds an element by its id. */
export const $ = (id) => document.getElementById(id);

/** h makes an element: h("button", { type: "button", onclick }, "text", child). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

/** icon shows a symbol of the page's sprite. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** face shows somebody by two letters and a colour of their own. */
export function face(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) % 3600;
  const element = h("span", { class: "face", "aria-hidden": "true" }, [...name].slice(0, 2).join(""));
  element.style.setProperty("--hue", String((hash * 47) % 360));
  return element;
}

/**
 * keep makes the children of a list those of the items, by key. make gets an item and its element, if there is one, and
 * gives the element, which stays where it is if it can: what has the focus keeps it.
 */
export function keep(list, items, key, make) {
  const wanted = new Set(items.map(key));
  for (const child of [...list.children]) if (!wanted.has(child.dataset.key)) child.remove();
  const there = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const item of items) {
    const id = key(item);
    const element = make(item, there.get(id));
    element.dataset.key = id;
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
  }
}

/** plural writes a number with its noun. */
export const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

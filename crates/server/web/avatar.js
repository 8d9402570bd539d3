// The coloured circle with the initials that stands for a person.

import { element } from "./dom.js";

/** The circle; without an id it is of someone unknown. */
export function avatar(id, name) {
  const initials = name.split(" ").slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();
  const circle = element("span", `avatar ${hue(id)}`, id ? initials : "?");
  circle.setAttribute("aria-hidden", "true");
  return circle;
}

/** The colour of a person, as a class of the style; by id, so that it is the same on every screen. */
export function hue(id) {
  if (!id) return "hue-none";
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return `hue-${sum % 8}`;
}

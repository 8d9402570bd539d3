// Short words for what every part of the page does with its elements.

/** The element of the page with this id. */
export const $ = (id) => document.getElementById(id);

/** A new element. The text is text, never HTML. */
export function element(tag, classes = "", text = "") {
  const made = document.createElement(tag);
  made.className = classes.trim();
  made.textContent = text;
  return made;
}

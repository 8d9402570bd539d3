// The clipboard, also where the browser gives a page none.

import { element } from "./dom.js";

/** Copies the text and returns whether that worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http on another machine's address there is no clipboard object; the old way still works.
    const focused = document.activeElement;
    const helper = element("textarea", "unseen", text);
    document.body.append(helper);
    helper.select();
    const copied = document.execCommand("copy");
    helper.remove();
    focused?.focus();
    return copied;
  }
}

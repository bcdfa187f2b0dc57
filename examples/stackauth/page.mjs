// Stands in for a browser: a document to render into, and a way to wait for what it shows.
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><div id=root></div>", { url: "http://localhost:3000/", pretendToBeVisual: true });
const NAMES = "document HTMLElement Element Node MutationObserver getComputedStyle navigator location history localStorage sessionStorage requestAnimationFrame cancelAnimationFrame";
for (const name of ["window", ...NAMES.split(" ")]) {
  const value = name === "window" ? window : window[name];
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** Where the page is rendered. */
export const mount = () => document.getElementById("root");

/** The text of the page, as soon as it holds these words. */
export async function until(words) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    if (mount().textContent.includes(words)) return mount().textContent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the page never showed "${words}", but: ${mount().textContent}`);
}

// The page that @stackframe/react brings, <AccountSettings>, in jsdom: the keys of its user and of the user's team.
import { mount, until } from "./page.mjs";

// What its dialogs ask of a browser, beside what the hooks ask.
const { window } = globalThis;
for (const name of "DocumentFragment NodeFilter Event CustomEvent MouseEvent KeyboardEvent FocusEvent HTMLInputElement HTMLButtonElement HTMLFormElement HTMLIFrameElement SVGElement".split(" ")) {
  globalThis[name] = window[name];
}
globalThis.PointerEvent = window.PointerEvent = class extends window.MouseEvent {};
globalThis.ResizeObserver = window.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
};
window.matchMedia = () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
window.HTMLElement.prototype.scrollIntoView = () => {};
// Two traps for the focus, of a menu and of a dialog, would call each other without end here.
window.HTMLElement.prototype.focus = () => {};
window.HTMLElement.prototype.hasPointerCapture = () => false;

const { AccountSettings, StackClientApp, StackProvider, StackTheme } = await import("@stackframe/react");
const { Suspense, createElement: h } = await import("react");
const { createRoot } = await import("react-dom/client");
const { StackServerApp } = await import("@stackframe/js");
const { assert, client, connection, eventually, made, server, world } = await import("./steps.mjs");

const step = client("@stackframe/react 2.8.108");
const { ada } = world.people;
const app = new StackClientApp({ ...connection, tokenStore: "memory", redirectMethod: "none" });
const serverApp = new StackServerApp(server);

/** Every request of the page, with its status. */
const asked = [];
const ask = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const answer = await ask(...request);
  asked.push(`${answer.status} ${String(request[0]).replace(world.url, "")}`);
  return answer;
};

const all = (kind) => [...document.querySelectorAll(kind)];
const find = (kind, words) => all(kind).find((found) => found.textContent.trim() === words && !found.disabled);
const click = (found) => {
  for (const type of ["pointerdown", "pointerup"]) {
    found.dispatchEvent(new window.PointerEvent(type, { bubbles: true, cancelable: true, button: 0 }));
  }
  found.click();
};
const press = async (kind, words) => click(await eventually(() => find(kind, words), Boolean));
const go = (hash) => {
  window.location.hash = hash;
  window.dispatchEvent(new window.Event("hashchange"));
};
const row = (words) => eventually(() => all("tr").find((line) => line.textContent.includes(words)), Boolean);

/** Fills in the dialog in which a key is made; answers its text, which the page then shows this once. */
async function create(description, life) {
  // What the page loads meanwhile takes a dialog away that opens too early: it is asked for until it is there.
  const field = await eventually(() => {
    const open = document.querySelector("input#description");
    const button = open ? undefined : find("button", "Create API Key");
    if (button) click(button);
    return open;
  }, Boolean);
  Object.getOwnPropertyDescriptor(window.HTMLInputElement.prototype, "value").set.call(field, description);
  field.dispatchEvent(new window.Event("input", { bubbles: true }));
  const choice = document.querySelector("select#expiresIn");
  choice.value = [...choice.options].find((option) => option.textContent === life).value;
  choice.dispatchEvent(new window.Event("change", { bubbles: true }));
  await press("button", "Create");
  const shown = await eventually(() => all("input").find((input) => /^acme_/.test(input.value)), Boolean);
  const text = made(shown.value);
  (await eventually(() => document.querySelector("button[role=checkbox]"), Boolean)).click();
  await press("button", "Close");
  await eventually(() => all("input").some((input) => input.value === text), (still) => !still);
  return text;
}

/** Revokes the key in the table whose line holds these words. */
async function revoke(words) {
  const menu = (await row(words)).querySelector("button[aria-haspopup=menu]");
  menu.dispatchEvent(new window.PointerEvent("pointerdown", { bubbles: true, cancelable: true, button: 0 }));
  await press("[role=menuitem]", "Revoke");
  (await eventually(() => document.querySelector("[role=dialog] button[role=checkbox], [role=alertdialog] button[role=checkbox]"), Boolean)).click();
  await press("button", "Revoke Key");
}

await step("<AccountSettings> opens, with its tab for keys", async () => {
  assert.equal((await app.signInWithCredential({ ...ada.login, noRedirect: true })).status, "ok");
  createRoot(mount()).render(h(StackProvider, { app }, h(StackTheme, {}, h(Suspense, { fallback: "…" }, h(AccountSettings)))));
  await until("API Keys");
  await until("Engines");
});

await step("<AccountSettings> API Keys: a key is made, shown once, listed, and revoked", async () => {
  go("api-keys");
  const text = await create("from the page", "90 days");
  assert.equal((await serverApp.getUser({ apiKey: text })).id, ada.id);
  const line = await row("from the page");
  assert.match(line.textContent, new RegExp(`valid.*\\*{7}${text.slice(-4)}`));
  await revoke("from the page");
  await eventually(async () => (await row("from the page")).textContent, (words) => words.includes("revoked"));
  assert.equal(await serverApp.getUser({ apiKey: text }), null);
});

await step("<AccountSettings> API Keys: a key that never ends is shown as such", async () => {
  await create("for ever", "Never");
  assert.match((await row("for ever")).textContent, /Never/);
});

await step("<AccountSettings> team: its keys, for who may manage them", async () => {
  go(`team-${world.team}`);
  // The tab before has a button of the same name.
  await until("Leave Team");
  const text = await create("the team's, from the page", "7 days");
  assert.equal((await serverApp.getTeam({ apiKey: text })).id, world.team);
  await row("the team's, from the page");
});

await step("<AccountSettings> was refused nothing", async () => {
  // That a revoked key is refused is what this program itself asks, through the server's app.
  const refused = asked.filter((line) => !line.startsWith("2") && !line.endsWith("/user-api-keys/check"));
  assert.deepEqual(refused, []);
});

process.exit(0);

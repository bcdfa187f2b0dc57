// Draws /openapi.json. Everything is put on the page as text nodes, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH = 4;

/** An element with attributes and children; strings become text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` and **strong** words, as nodes. */
function inline(text) {
  return text
    .split(/(`[^`]+`|\*\*[^*]+\*\*)/)
    .filter(Boolean)
    .map((piece) => {
      if (piece.startsWith("`")) return el("code", {}, piece.slice(1, -1));
      if (piece.startsWith("**")) return el("strong", {}, piece.slice(2, -2));
      return piece;
    });
}

function paragraphs(text = "") {
  return text
    .split(/\n\n+/)
    .filter(Boolean)
    .map((part) => el("p", {}, inline(part)));
}

fetch("/openapi.json")
  .then((response) => response.json())
  .then(draw)
  .catch(() => document.querySelector("main").append(el("p", {}, "The OpenAPI document could not be loaded.")));

function draw(api) {
  const at = (ref) => ref.slice(2).split("/").reduce((place, step) => place[step], api);
  const resolve = (thing) => (thing?.$ref ? { ...at(thing.$ref), name: thing.$ref.split("/").pop() } : (thing ?? {}));
  const main = document.querySelector("main");
  const contents = document.querySelector("#contents");
  main.replaceChildren(
    el("h1", {}, api.info.title, " API"),
    el(
      "div",
      { class: "lead" },
      el("p", {}, `Version ${api.info.version} · `, el("a", { href: "/openapi.json" }, "openapi.json"), " · ",
        el("a", { href: "/docs/errors" }, "error codes"), " · ", el("a", { href: "/docs/denials" }, "denial codes")),
      paragraphs(api.info.description),
    ),
  );
  for (const tag of api.tags) {
    const group = el("section", { class: "group" }, el("h2", {}, tag.name), paragraphs(tag.description));
    const links = el("section", {}, el("h2", {}, tag.name));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((method) => item[method]?.tags?.includes(tag.name))) {
        group.append(operation(method.toUpperCase(), path, item[method]));
        links.append(
          el("a", { href: `#${item[method].operationId}`, "data-words": `${method} ${path} ${item[method].summary}`.toLowerCase() },
            el("span", { class: `method ${method.toUpperCase()}` }, method.toUpperCase()), item[method].summary),
        );
      }
    }
    if (links.childElementCount > 1) {
      main.append(group);
      contents.append(links);
    }
  }
  search(contents);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });

  function operation(method, path, declared) {
    const route = path.split(/(\{[^}]+\})/).map((piece) => (piece.startsWith("{") ? el("i", {}, piece) : piece));
    const body = declared.requestBody && Object.values(declared.requestBody.content)[0].schema;
    return el(
      "article",
      { class: "operation", id: declared.operationId },
      el("h3", {}, el("a", { href: `#${declared.operationId}` }, declared.summary)),
      el("div", { class: "route" }, el("span", { class: `method ${method}` }, method), el("code", {}, route)),
      paragraphs(declared.description),
      parameters(declared.parameters ?? []),
      body ? [el("h4", {}, declared.requestBody.required ? "Body" : "Body, may be left out"), members(body, 0)] : null,
      el("h4", {}, "Example"),
      example(method, path, declared, body),
      el("h4", {}, "Answers"),
      answers(declared.responses),
    );
  }

  function parameters(list) {
    return ["path", "query", "header"].flatMap((place) => {
      const here = list.filter((parameter) => parameter.in === place);
      const title = { path: "Path", query: "Query", header: "Headers" }[place];
      const rows = here.map((parameter) =>
        member(parameter.name, { ...parameter.schema, description: parameter.description }, parameter.required, DEPTH));
      return here.length ? [el("h4", {}, title), el("dl", {}, rows)] : [];
    });
  }

  function answers(responses) {
    const problems = Object.keys(responses).filter((status) => status >= "400");
    const good = Object.entries(responses).filter(([status]) => status < "400");
    const drawn = good.map(([status, response]) => {
      const schema = response.content && Object.values(response.content)[0].schema;
      const types = Object.keys(response.content ?? {}).filter((type) => type !== "application/json");
      const told = [el("span", { class: "status s2" }, status), el("span", {}, inline(response.description))];
      if (types.length) told.push(el("span", { class: "type" }, types.join(", ")));
      const fields = schema && resolve(schema).properties;
      return fields ? el("details", {}, el("summary", {}, told), members(schema, 0)) : el("p", { class: "route" }, told);
    });
    const codes = problems.map((status) => [el("span", { class: `status s${status[0]}` }, status), " "]);
    return [...drawn, el("p", { class: "problems" }, el("a", { href: "/docs/errors" }, "Problems"), ": ", codes.flat())];
  }

  /** The members of an object, or of the objects in a list. */
  function members(schema, depth) {
    const { object } = inside(schema);
    const required = object?.required ?? [];
    const rows = Object.entries(object?.properties ?? {}).map(([name, property]) =>
      member(name, property, required.includes(name), depth));
    return rows.length ? el("dl", {}, rows) : null;
  }

  function member(name, property, required, depth) {
    const { object } = inside(property);
    const known = resolve(property);
    const nested = depth < DEPTH && object?.properties ? members(property, depth + 1) : null;
    const either = property.oneOf?.find((one) => one.description) ?? {};
    return el(
      "div",
      { class: "member" },
      el("dt", {}, el("code", {}, name), required ? el("span", { class: "must" }, "required") : null,
        el("span", { class: "type" }, required ? typeOf(property) : typeOf(property).replace(" | null", ""))),
      el("dd", {}, paragraphs(property.description ?? either.description ?? known.description),
        nested ? el("details", {}, el("summary", {}, "Members"), nested) : null),
    );
  }

  /** The object that a schema is, lists or may be. */
  function inside(schema) {
    const known = resolve(schema);
    if (known.properties) return { object: known };
    if (known.items) return inside(known.items);
    const choices = (known.oneOf ?? []).filter((one) => one.type !== "null");
    return choices.length === 1 ? inside(choices[0]) : { object: null };
  }

  function typeOf(schema) {
    const known = resolve(schema);
    if (known.enum) return known.enum.map((word) => JSON.stringify(word)).join(" | ");
    if (known.oneOf) return known.oneOf.map(typeOf).join(" | ");
    if (known.properties && !known.name) return `{ ${Object.keys(known.properties).join(", ")} }`;
    const types = [known.type ?? "any"].flat().map((type) => {
      if (type === "array") return `[${typeOf(known.items ?? {})}]`;
      if (type === "object") return known.name ?? "object";
      return type === "string" && known.format ? known.format : type;
    });
    const range = [["≥ ", known.minimum], ["≤ ", known.maximum], ["≤ ", known.maxLength, " characters"], ["≤ ", known.maxItems, " entries"]]
      .filter(([, value]) => value !== undefined)
      .map(([sign, value, unit = ""]) => `${sign}${value}${unit}`);
    return [types.join(" | "), ...range].join(", ");
  }

  function example(method, path, declared, body) {
    const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}"$KEYHOLT_URL${path.replace(/\{(\w+)\}/g, "$$$1").replaceAll("$project", "self")}"`];
    if (declared.security?.length) lines.push('-H "Authorization: Bearer $KEYHOLT_KEY"');
    const sample = body && sampleOf(body);
    if (sample) lines.push('-H "Content-Type: application/json"', `-d '${JSON.stringify(sample).replaceAll("'", "'\\''")}'`);
    const text = lines.join(" \\\n  ");
    const copy = el("button", { type: "button" }, "Copy");
    copy.addEventListener("click", () =>
      navigator.clipboard.writeText(text).then(() => {
        copy.textContent = "Copied";
        setTimeout(() => (copy.textContent = "Copy"), 1200);
      }));
    return el("div", { class: "example" }, el("pre", {}, el("code", {}, text)), copy);
  }

  /** The example that a schema gives, or one made of its required members. */
  function sampleOf(schema) {
    const known = resolve(schema);
    if (known.examples?.length) return known.examples[0];
    if (known.enum) return known.enum[0];
    if (known.oneOf) return sampleOf(known.oneOf.find((one) => one.type !== "null"));
    const type = [known.type].flat()[0];
    if (type === "array") return [sampleOf(known.items ?? {})];
    if (type === "object") {
      const wanted = known.required?.length ? known.required : Object.keys(known.properties ?? {}).slice(0, 1);
      return Object.fromEntries(wanted.map((name) => [name, sampleOf(known.properties[name])]));
    }
    return { boolean: true, integer: 1 }[type] ?? "…";
  }
}

/** Narrows the contents to what is typed; `/` goes there. */
function search(contents) {
  const field = document.querySelector("#search");
  const empty = el("p", { class: "empty", hidden: "" }, "Nothing found.");
  contents.append(empty);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const link of contents.querySelectorAll("a")) link.hidden = !words.every((word) => link.dataset.words.includes(word));
    for (const group of contents.querySelectorAll("section")) group.hidden = !group.querySelector("a:not([hidden])");
    empty.hidden = Boolean(contents.querySelector("section:not([hidden])"));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    }
  });
}

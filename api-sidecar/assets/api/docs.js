// Shows openapi.json as a page: operations by tag, their parameters, bodies and answers.
"use strict";

const METHODS = ["get", "post", "put", "delete"];

/** An element with text and children; nothing is ever parsed as HTML. */
function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

/** Follows a local reference such as #/components/schemas/Order. */
function resolve(document_, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((at, key) => at[key], document_);
}

/** A schema in one line: its type, or the name of what it refers to. */
function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  return [].concat(schema.type || "any").join(" or ");
}

function table(headings, rows) {
  const head = element("tr", "", ...headings.map((heading) => element("th", heading)));
  const body = rows.map((cells) => element("tr", "", ...cells.map((cell) => element("td", cell))));
  return element("table", "", head, ...body);
}

/** The fields of a schema, and of every schema that it refers to at its top. */
function fieldsOf(document_, schema) {
  const resolved = resolve(document_, schema) || {};
  const choices = resolved.anyOf || resolved.oneOf;
  if (choices) return choices.flatMap((choice) => fieldsOf(document_, choice));
  const required = new Set(resolved.required || []);
  return Object.entries(resolved.properties || {}).map(([name, field]) => [
    name, typeOf(field), required.has(name) ? "always" : "", (resolve(document_, field) || {}).description || "",
  ]);
}

function bodySection(document_, title, content) {
  return Object.entries(content || {}).flatMap(([mediaType, { schema }]) => {
    const fields = fieldsOf(document_, schema);
    const heading = element("h4", `${title}: ${typeOf(schema)} (${mediaType})`);
    return fields.length ? [heading, table(["Field", "Type", "Given", "Meaning"], fields)] : [heading];
  });
}

function operationCard(document_, path, method, operation, shared) {
  const card = element("details");
  card.id = `${method}-${path}`;
  const summary = element("summary");
  const name = element("span", method.toUpperCase());
  name.className = "method";
  const route = element("span", path);
  route.className = "path";
  summary.append(name, route, ` ${operation.summary}`);
  card.append(summary);
  if (operation.description) card.append(element("p", operation.description));
  const parameters = [...shared, ...(operation.parameters || [])].map((parameter) => resolve(document_, parameter));
  if (parameters.length) {
    card.append(table(["Parameter", "In", "Type", "Meaning"], parameters.map((parameter) => [
      parameter.name, parameter.in, typeOf(parameter.schema), parameter.description || "",
    ])));
  }
  if (operation.requestBody) card.append(...bodySection(document_, "Body", operation.requestBody.content));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const resolved = resolve(document_, answer);
    card.append(...(status.startsWith("2")
      ? bodySection(document_, `${status} ${resolved.description}`, resolved.content)
      : [element("p", `${status}: ${resolved.description}`)]));
  }
  return card;
}

async function show() {
  const answer = await fetch("/api/oms/openapi.json");
  const document_ = await answer.json();
  document.getElementById("description").textContent = document_.info.description;
  const contents = document.getElementById("contents");
  const operations = document.getElementById("operations");
  for (const tag of document_.tags) {
    operations.append(element("h2", tag.name));
    for (const [path, item] of Object.entries(document_.paths)) {
      for (const method of METHODS.filter((name) => item[name] && item[name].tags.includes(tag.name))) {
        operations.append(operationCard(document_, path, method, item[method], item.parameters || []));
        const link = element("a", `${method.toUpperCase()} ${path}`);
        link.href = `#${method}-${path}`;
        link.addEventListener("click", () => { document.getElementById(`${method}-${path}`).open = true; });
        contents.append(link);
      }
    }
  }
  document.body.dataset.ready = "true";
}

show().catch((error) => { document.getElementById("description").textContent = `Not available: ${error.message}`; });

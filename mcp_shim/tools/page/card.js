// The card inside a conversation. A small client of the MCP Apps bridge (SEP-1865): JSON-RPC 2.0 by
// postMessage with the host that embeds this page, and with nobody else.
const PROTOCOL = "2026-01-26";
const CHART = "cdesk/chart";
const byId = (id) => document.getElementById(id);
const card = byId("card");

let next = 1;
const waiting = new Map();
let host = { capabilities: {}, context: {} };
let shown = null; // the last tool result
let ticket = null;
let tries = 0;

const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params = {}) => post({ method, params });
function request(method, params) {
  const id = next++;
  post({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  if (data.method === undefined) {
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if (asked) data.error ? asked.reject(new Error(data.error.message)) : asked.resolve(data.result);
  } else if (data.id === undefined) {
    heard[data.method]?.(data.params ?? {});
  } else if (data.method === "ping" || data.method === "ui/resource-teardown") {
    post({ id: data.id, result: {} });
  } else {
    post({ id: data.id, error: { code: -32601, message: "unknown method" } });
  }
});

const heard = {
  "ui/notifications/tool-input": ({ arguments: given }) => { ticket = given?.ticket_id ?? ticket; },
  "ui/notifications/tool-result": (result) => show(result),
  "ui/notifications/tool-cancelled": () => say("Cancelled", ""),
  "ui/notifications/host-context-changed": (context) => dress({ ...host.context, ...context }),
};

// The host's theme, its colors and fonts.
function dress(context) {
  host.context = context;
  const root = document.documentElement;
  const dark = context.theme ? context.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
    if (name.startsWith("--") && value) root.style.setProperty(name, value);
  }
  chart();
}

// Numbers and their units stay on one line.
const tight = (text) => text.replace(/(?<=\d) (?=(?:%|ms|s)(?!\w))/g, "\u00a0");

function say(headline, finding) {
  byId("headline").textContent = tight(headline);
  byId("finding").textContent = tight(finding);
}

function number(value) {
  return value.toLocaleString(host.context.locale, { maximumSignificantDigits: Number.isInteger(value) ? 21 : 5 });
}

// What a result holds is text, and characters that hide or turn it are shown.
function visible(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (one) => one === "\n" ? "↵" : `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function moment(value) {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return value;
  return at.toLocaleString(host.context.locale, { timeZone: host.context.timeZone, dateStyle: "medium", timeStyle: "short" });
}

function cellOf(value, type) {
  if (value === null) return "–";
  if (typeof value === "number") return number(value);
  if (type === "timestamp" && typeof value === "string") return moment(value);
  return visible(typeof value === "string" ? value : JSON.stringify(value)).slice(0, 500);
}

function rows(result) {
  const columns = (result.columns ?? []).slice(0, 50);
  const right = columns.map((column) => column.type === "integer" || column.type === "number");
  const line = (tag, values, classes) => {
    const row = document.createElement("tr");
    values.forEach((value, index) => {
      const one = document.createElement(tag);
      const text = document.createElement("bdi");
      text.textContent = value;
      one.append(text);
      if (right[index]) one.className = "right";
      if (classes?.[index]) one.classList.add(classes[index]);
      row.append(one);
    });
    return row;
  };
  byId("head").replaceChildren(line("th", columns.map((column) => visible(column.name).replaceAll("_", " "))));
  byId("rows").replaceChildren(...(result.rows ?? []).slice(0, 10).map((values) =>
    line("td", columns.map((column, index) => cellOf(values[index] ?? null, column.type)), values.map((value) => value === null ? "null" : ""))));
  byId("scroll").hidden = columns.length === 0 || (result.rows ?? []).length === 0;
}

function chart() {
  const drawn = shown?._meta?.[CHART];
  const image = byId("chart");
  const svg = drawn?.[document.documentElement.dataset.theme ?? "light"];
  image.hidden = !svg;
  if (svg) {
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    image.alt = shown.structuredContent?.result?.alt ?? "";
  }
}

function show(answer) {
  shown = { ...answer, _meta: { ...shown?._meta, ...answer._meta } };
  const content = answer.structuredContent;
  if (answer.isError || !content) {
    card.dataset.state = "failed";
    return say("No result", visible((answer.content ?? []).map((one) => one.text ?? "").join(" ")));
  }
  ticket = content.ticket_id ?? ticket;
  card.dataset.state = content.status;
  const result = content.result;
  if (!result) {
    const ended = content.error ? visible(content.error.message) : "";
    say(content.error ? "No result" : "Working on it …", ended || content.progress || "");
    if (!content.error) again(1000, 10);
    return;
  }
  const count = result.row_count ?? 0;
  say(result.headline ?? `${number(count)} rows`, result.finding ?? "");
  byId("note").textContent = result.sampling_note ?? "";
  byId("note").hidden = !result.sampling_note;
  rows(result);
  pager(result, count);
  byId("open").hidden = !result.card?.url || !host.capabilities.openLinks;
  byId("provenance").textContent = [result.template, result.query_hash, result.query_tag, result.as_of].filter(Boolean).join(" · ");
  chart();
  if (result.chart && result.chart !== "none" && !shown._meta[CHART]) again(600, 0);
}

// Where these ten rows stand among all, and the way to the next.
function pager(result, count) {
  const few = (result.rows ?? []).length;
  const page = result.page ?? 1;
  const pages = host.capabilities.serverTools && ticket ? result.pages ?? 1 : 1;
  const first = (page - 1) * 10 + 1;
  byId("count").textContent = few < count
    ? `Rows ${number(first)}–${number(first + few - 1)} of ${number(count)}` : `${number(count)} rows`;
  for (const [id, to] of [["before", page - 1], ["after", page + 1]]) {
    const button = byId(id);
    button.hidden = pages < 2;
    button.disabled = to < 1 || to > pages;
    button.onclick = () => turn(to);
  }
}

// Another page: written by the worker, at once or in a moment.
async function turn(page) {
  for (const id of ["before", "after"]) byId(id).disabled = true;
  const call = { name: "get_result", arguments: { ticket_id: ticket, page, wait_seconds: 10 } };
  try {
    for (let asked = 0; asked < 6; asked += 1) {
      const answer = await request("tools/call", call);
      const content = answer.structuredContent;
      if (content?.result) return show(answer);
      if (answer.isError || content?.error) {
        throw new Error(content?.error?.message ?? (answer.content ?? []).map((one) => one.text ?? "").join(" "));
      }
    }
    throw new Error("the page is still being written");
  } catch (error) {
    const result = shown.structuredContent.result;
    pager(result, result.row_count ?? 0);
    byId("count").textContent = visible(error.message);
  }
}

// Ask once more: the query still runs, or its chart is still being painted.
function again(pause, seconds) {
  if (!host.capabilities.serverTools || !ticket || tries >= 30) return;
  tries += 1;
  setTimeout(async () => {
    const page = shown?.structuredContent?.result?.page ?? 1; // the one that is looked at by then
    const call = { name: "get_result", arguments: { ticket_id: ticket, page, wait_seconds: seconds } };
    try {
      show(await request("tools/call", call));
    } catch (error) {
      say("No result", visible(error.message));
    }
  }, pause);
}

byId("open").addEventListener("click", () => {
  request("ui/open-link", { url: shown.structuredContent.result.card.url }).catch(() => {});
});

new ResizeObserver(() => {
  const { scrollWidth: width, offsetHeight: height } = card;
  notify("ui/notifications/size-changed", { width, height });
}).observe(card);

dress({});
const begun = await request("ui/initialize", {
  protocolVersion: PROTOCOL,
  appInfo: { name: "cdesk card", version: "1.0.0" },
  appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
});
host = { capabilities: begun.hostCapabilities ?? {}, context: {} };
dress(begun.hostContext ?? {});
notify("ui/notifications/initialized");

// The card's rows: pages of a hundred as one scrolls, sorted and filtered by the server.
// Everything that comes from a result is set as text, never as markup.
const PAGE = 100;
const KEPT = 12; // pages in the document at once; the others are blank of the same height
const ROW = 34;

const card = document.getElementById("card");
const base = card.dataset.base;
const query = card.dataset.query;
const table = document.getElementById("table");
const scroll = document.getElementById("scroll");
const status = document.getElementById("status");
const heads = [...table.tHead.rows[0].cells].slice(1);

const view = { sort: null, descending: false, text: "", filters: [] };
let pages = new Map(); // number of a page → its tbody
let total = Number(card.dataset.rows);
let last = -1; // the last page that was laid out
let generation = 0;
const stale = []; // what was shown before, until the new rows are there
let busy = false;

function address(path, more) {
  const search = new URLSearchParams(query.slice(1));
  for (const [name, value] of more ?? []) search.append(name, value);
  return `${base}/${path}?${search}`;
}

async function fetchPage(number) {
  const more = [["offset", number * PAGE]];
  if (view.sort !== null) more.push(["sort", view.sort], ["descending", view.descending ? 1 : 0]);
  if (view.text) more.push(["text", view.text]);
  for (const one of view.filters) more.push(["filter", `${one.column}:${one.operator}:${one.value}`]);
  const answer = await fetch(address("rows", more));
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message);
  return body;
}

function rowOf(place, values) {
  const row = document.createElement("tr");
  const first = row.insertCell();
  first.className = "place";
  first.textContent = (place + 1).toLocaleString();
  values.forEach((value, index) => {
    const cell = row.insertCell();
    const text = document.createElement("bdi");
    text.textContent = value === null ? "–" : value;
    cell.append(text);
    if (heads[index].classList.contains("right")) cell.classList.add("right");
    if (value === null) cell.classList.add("null");
    if (value !== null && value.length > 40) cell.title = value;
  });
  return row;
}

function fill(body, number, rows) {
  body.replaceChildren(...rows.map((values, index) => rowOf(number * PAGE + index, values)));
  body.dataset.rows = rows.length;
}

function empty(body) {
  const row = document.createElement("tr");
  row.className = "spacer";
  const cell = row.insertCell();
  cell.colSpan = heads.length + 1;
  cell.style.height = `${Number(body.dataset.rows) * ROW}px`;
  body.replaceChildren(row);
}

function isEmpty(body) {
  return body.rows.length === 1 && body.rows[0].className === "spacer";
}

// Keep a dozen pages around what is seen; fetch again what comes back into sight.
async function around() {
  const top = scroll.getBoundingClientRect().top;
  let current = 0;
  for (const [number, body] of pages) if (body.getBoundingClientRect().top - top <= 1) current = Math.max(current, number);
  for (const [number, body] of pages) {
    const far = Math.abs(number - current) > KEPT / 2;
    if (far && !isEmpty(body)) empty(body);
    else if (!far && isEmpty(body)) {
      const mine = generation;
      const page = await fetchPage(number);
      if (mine === generation) fill(body, number, page.rows);
    }
  }
}

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

async function more() {
  if (busy || (last + 1) * PAGE >= total) return;
  busy = true;
  const mine = generation;
  try {
    const page = await fetchPage(last + 1);
    if (mine !== generation) return;
    last += 1;
    total = page.total;
    for (const old of stale.splice(0)) old.remove();
    const body = table.createTBody();
    pages.set(last, body);
    fill(body, last, page.rows);
    document.getElementById("preview")?.remove();
    const shown = Math.min((last + 1) * PAGE, total);
    say(total === 0 ? "No rows pass the filter." : `${shown.toLocaleString()} of ${total.toLocaleString()} rows.`);
  } catch (error) {
    if (mine === generation) say(error.message || "The rows cannot be loaded.", true);
  } finally {
    busy = false;
  }
}

async function restart() {
  generation += 1;
  busy = false;
  stale.push(...pages.values());
  pages = new Map();
  last = -1;
  total = Infinity;
  scroll.scrollTop = 0;
  await more();
}

function near() {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 20 * ROW;
}

let waiting = false;
scroll.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(async () => {
    waiting = false;
    if (near()) await more();
    await around().catch((error) => say(error.message, true));
  });
});

for (const head of heads) {
  const button = head.querySelector("button");
  button.disabled = false;
  button.addEventListener("click", () => {
    const place = Number(head.dataset.place);
    if (view.sort !== place) Object.assign(view, { sort: place, descending: false });
    else if (!view.descending) view.descending = true;
    else Object.assign(view, { sort: null, descending: false });
    for (const other of heads) other.removeAttribute("aria-sort");
    if (view.sort !== null) head.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
    restart();
  });
}

const search = document.getElementById("search");
let typing;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    view.text = search.value;
    restart();
  }, 250);
});

const column = document.getElementById("column");
const operator = document.getElementById("operator");
const value = document.getElementById("value");
function addFilter() {
  const needless = operator.value === "null" || operator.value === "not_null";
  if (!needless && value.value === "") return value.focus();
  const one = { column: Number(column.value), operator: operator.value, value: needless ? "" : value.value };
  view.filters.push(one);
  const chip = document.createElement("li");
  const text = document.createElement("bdi");
  text.textContent = `${column.selectedOptions[0].textContent} ${operator.selectedOptions[0].textContent} ${one.value}`;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", "Remove this filter");
  remove.addEventListener("click", () => {
    view.filters.splice(view.filters.indexOf(one), 1);
    chip.remove();
    restart();
  });
  chip.append(text, remove);
  document.getElementById("filters").append(chip);
  value.value = "";
  restart();
}
document.getElementById("add").addEventListener("click", addFilter);
value.addEventListener("keydown", (event) => event.key === "Enter" && addFilter());

// The chart, and the words that come with it where the page did not have them yet.
const figure = document.getElementById("chart");
const picture = document.getElementById("picture");
// Numbers and their units stay on one line.
const tight = (text) => text.replace(/(?<=\d) (?=(?:%|ms|s|B)(?!\w))/g, "\u00a0");
async function words() {
  if (card.dataset.known === "yes") return;
  const answer = await fetch(address("chart.json"));
  if (!answer.ok) return;
  const chart = await answer.json();
  document.getElementById("headline").textContent = tight(chart.headline);
  document.getElementById("finding").textContent = tight(chart.finding);
  document.title = `${chart.headline} · cdesk`;
  if (picture) picture.alt = chart.alt;
  for (const [name, text] of chart.totals) {
    const box = document.createElement("div");
    const big = document.createElement("b");
    const small = document.createElement("span");
    big.textContent = text;
    small.textContent = name;
    box.append(big, small);
    document.getElementById("totals").append(box);
  }
}
function painted() {
  requestAnimationFrame(() => requestAnimationFrame(() => navigator.sendBeacon(address("painted"))));
}
function settle(ok) {
  figure.classList.remove("loading");
  if (!ok || picture.naturalWidth < 2) figure.hidden = true;
  painted();
}
if (!figure) painted();
else if (picture.complete) settle(picture.naturalWidth > 0);
else {
  picture.addEventListener("load", () => settle(true));
  picture.addEventListener("error", () => settle(false));
}

document.getElementById("tools").hidden = total === 0;
await Promise.allSettled([words(), total > 0 ? more() : null]);
card.dataset.ready = "yes";

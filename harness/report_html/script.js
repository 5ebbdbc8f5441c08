"use strict";
// Adds to a page that can be read without it: values on pointing, legends, downloads, the table of cells and the browser
// of trajectories. All text goes in as textContent; nothing is fetched.
const $ = (id) => document.getElementById(id);
const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const PAGE = 25;
const fill = (select, names, words = (name) => name) => {
  select.replaceChildren(el("option", { value: "", textContent: "all" }), ...names.map((name) => el("option", { value: name, textContent: words(name) })));
};

// One task and one model at a time.
const figures = [...document.querySelectorAll("figure")];
const asides = [...document.querySelectorAll(".aside[data-task]")];
const choose = () => {
  const [task, model] = [$("task").value, $("model").value];
  const wrong = (value, chosen) => value !== undefined && value !== chosen;
  for (const figure of [...figures, ...asides]) figure.hidden = wrong(figure.dataset.task, task) || wrong(figure.dataset.model, model);
};
document.querySelector(".choose").hidden = figures.length === 0;
for (const id of ["task", "model"]) $(id).addEventListener("change", choose);
choose();

// Values: the nearest point to the pointer, or the next one by arrow keys.
const tip = $("tip");
const says = new WeakMap();
const points = (svg) => [...svg.querySelectorAll(".series:not(.off) .pt, .tile .pt")].map((node) => {
  const title = node.querySelector("title");
  if (title) { says.set(node, title.textContent); title.remove(); }
  const box = node.getBBox();
  return { node, x: box.x + box.width / 2, y: box.y + box.height / 2, box };
}).filter((point) => says.has(point.node));
const hide = (svg) => { tip.hidden = true; svg.querySelector(".ring")?.remove(); };
const show = (svg, point) => {
  hide(svg);
  tip.textContent = says.get(point.node);
  tip.hidden = false;
  const ring = document.createElementNS(svg.namespaceURI, point.node.tagName === "rect" ? "rect" : "circle");
  const place = point.node.tagName === "rect" ? { x: point.box.x, y: point.box.y, width: point.box.width, height: point.box.height } : { cx: point.x, cy: point.y, r: 7 };
  ring.setAttribute("class", "ring");
  for (const [name, value] of Object.entries(place)) ring.setAttribute(name, value);
  svg.append(ring);
  const at = new DOMPoint(point.x, point.y).matrixTransform(svg.getScreenCTM());
  const left = Math.min(Math.max(8, at.x + 14), innerWidth - tip.offsetWidth - 8);
  const top = at.y - tip.offsetHeight - 12;
  tip.style.left = `${left}px`;
  tip.style.top = `${top < 8 ? at.y + 16 : top}px`;
};
const nearest = (svg, event) => {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let best, least = 26 * 26;
  for (const point of points(svg)) {
    const inside = point.node.tagName === "rect" && Math.abs(at.x - point.x) * 2 <= point.box.width && Math.abs(at.y - point.y) * 2 <= point.box.height;
    const distance = inside ? 0 : point.node.tagName === "rect" ? Infinity : (point.x - at.x) ** 2 + (point.y - at.y) ** 2;
    if (distance < least) [best, least] = [point, distance];
  }
  return best;
};
const keys = (svg, event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") hide(svg);
  if (!step) return;
  event.preventDefault();
  const all = points(svg);
  if (!all.length) return;
  svg.at = ((svg.at ?? (step > 0 ? -1 : 0)) + step + all.length) % all.length;
  show(svg, all[svg.at]);
};

// Downloads: the drawing as it is on white paper, without what is hidden.
const standalone = (svg) => {
  const copy = svg.cloneNode(true);
  for (const node of copy.querySelectorAll(".off, .ring")) node.remove();
  const [, , width, height] = svg.dataset.whole.split(" ");
  copy.setAttribute("viewBox", svg.dataset.whole);
  copy.setAttribute("width", width * 2);
  copy.setAttribute("height", height * 2);
  return new XMLSerializer().serializeToString(copy);
};
const save = (blob, name) => {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const saveSvg = (svg, name) => save(new Blob([standalone(svg)], { type: "image/svg+xml" }), `${name}.svg`);
const toPng = async (svg) => {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(svg))}`;
  await image.decode();
  const canvas = el("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};
const legend = (svg) => {
  const names = [...new Set([...svg.querySelectorAll("[data-series]")].map((group) => group.dataset.series))];
  return names.length < 2 ? [] : names.map((name) => {
    const groups = [...svg.querySelectorAll("[data-series]")].filter((group) => group.dataset.series === name);
    const key = el("button", { type: "button", className: "key", textContent: name, ariaPressed: "true" });
    key.style.setProperty("--key", getComputedStyle(groups[0]).color);
    key.addEventListener("click", () => {
      const off = key.ariaPressed === "true";
      key.ariaPressed = String(!off);
      for (const group of groups) group.classList.toggle("off", off);
    });
    return key;
  });
};
const valuesOf = (svg) => {
  const list = el("ul");
  const details = el("details", { className: "values" }, el("summary", { textContent: "Values" }), list);
  details.addEventListener("toggle", () => {
    if (details.open) list.replaceChildren(...points(svg).map((point) => el("li", { textContent: says.get(point.node).replaceAll("\n", "; ") })));
  });
  return details;
};
for (const figure of figures) {
  const svg = figure.querySelector("svg");
  const name = figure.id.replace("figure-", "");
  const button = (text, act) => el("button", { type: "button", textContent: text, ariaLabel: `Download ${name} as ${text}`, onclick: act });
  const tools = el("div", { className: "tools" }, ...legend(svg), el("span", { className: "save" }, button("SVG", () => saveSvg(svg, name)), button("PNG", async () => save(await toPng(svg), `${name}.png`))));
  svg.after(tools);
  figure.append(valuesOf(svg));
  const point = (event) => { const found = nearest(svg, event); if (found) show(svg, found); else hide(svg); };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", () => hide(svg));
  svg.addEventListener("blur", () => hide(svg));
  svg.addEventListener("keydown", (event) => keys(svg, event));
}

// The section in view.
const links = new Map([...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]));
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) {
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(entry.target.id);
    link.setAttribute("aria-current", "true");
    link.parentNode.scrollTo({ left: link.offsetLeft - 48 });
  }
}, { rootMargin: "-20% 0px -75% 0px" });
for (const id of links.keys()) if ($(id)) watch.observe($(id));

// A page of a list that may be long.
const pager = (prefix, draw) => {
  let page = 0, count = 0;
  const turn = (to) => {
    page = Math.max(0, Math.min(to, Math.ceil(count / PAGE) - 1));
    $(`${prefix}-page`).textContent = count ? `${page * PAGE + 1} to ${Math.min(count, (page + 1) * PAGE)} of ${count}` : "";
    $(`${prefix}-back`).disabled = page === 0;
    $(`${prefix}-next`).disabled = (page + 1) * PAGE >= count;
    draw(page * PAGE);
  };
  $(`${prefix}-back`).addEventListener("click", () => turn(page - 1));
  $(`${prefix}-next`).addEventListener("click", () => turn(page + 1));
  return (length) => { count = length; turn(0); };
};

// Cells: sorted by what is shown, filtered by the first columns.
const cells = JSON.parse($("cells-data").textContent);
const number = (text) => { const found = parseFloat(text.replace("~", "")); return Number.isNaN(found) ? (text.startsWith("max") ? Infinity : -Infinity) : found; };
const sorting = { column: -1, way: 1 };
let rows = cells.rows;
const drawCells = (first) => {
  const body = rows.slice(first, first + PAGE).map((row) => el("tr", {}, ...row.map((text, at) => el("td", { textContent: text, className: cells.columns[at].is_number ? "n" : "" }))));
  document.querySelector("#c-table tbody").replaceChildren(...body);
};
const turnCells = pager("c", drawCells);
const sortCells = () => {
  const { column, way } = sorting;
  const filters = [0, 1, 2, 3, 4].map((at) => $(`c-${at}`).value);
  rows = cells.rows.filter((row) => filters.every((value, at) => !value || row[at] === value || (at === 4 && row[at].split("@")[0] === value)));
  if (column >= 0) {
    const key = cells.columns[column].is_number ? (row) => number(row[column]) : (row) => row[column];
    rows = rows.map((row) => [key(row), row]).sort((a, b) => (a[0] < b[0] ? -way : a[0] > b[0] ? way : 0)).map((pair) => pair[1]);
  }
  [...document.querySelectorAll("#c-table th")].forEach((head, at) => { if (at === column) head.ariaSort = way > 0 ? "ascending" : "descending"; else head.removeAttribute("aria-sort"); });
  $("c-count").textContent = `${rows.length} of ${cells.rows.length} cells`;
  turnCells(rows.length);
};
const heads = cells.columns.map((column, at) => {
  const button = el("button", { type: "button" }, column.title, el("span", { className: "unit", textContent: column.unit }));
  button.addEventListener("click", () => {
    sorting.way = sorting.column === at ? -sorting.way : column.is_number && at > 3 ? -1 : 1;
    sorting.column = at;
    sortCells();
  });
  return el("th", { scope: "col", className: column.is_number ? "n" : "" }, button);
});
document.querySelector("#c-table thead").append(el("tr", {}, ...heads));
for (const at of [0, 1, 2, 3, 4]) {
  const values = new Set(cells.rows.map((row) => (at === 4 ? row[at].split("@")[0] : row[at])));
  const order = at === 2 || at === 3 ? [...values].sort((a, b) => number(a) - number(b)) : [...values];
  fill($(`c-${at}`), order);
  $(`c-${at}`).addEventListener("change", sortCells);
}
$("table").hidden = false;
sortCells();

// Trajectories: inflated when the section comes near.
const MARKS = { correct: "●", wrong: "○", no_answer: "–", truncated: "…", error: "!" };
const WORDS = { correct: "correct", wrong: "wrong", no_answer: "no answer", truncated: "ran out of tokens", error: "error" };
const ENDS = { closed: "The model closed the thought by itself.", stopped: "The model ended inside the thought.", cut: "The thought reached the largest budget." };
let runs, found = [], chosen;
const last = (one) => one.a[one.a.length - 1];
const outcome = (answer) => el("span", { className: answer.o, textContent: `${MARKS[answer.o]} ${WORDS[answer.o]}` });
const inflate = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).json();
};
const chain = (one) => {
  const box = el("div", { className: "chain", tabIndex: 0, role: "region", ariaLabel: "the thought, with its cuts" });
  let from = 0;
  for (const answer of one.a) {
    if (answer.b === "max") continue;
    box.append(one.r.slice(from, answer.c), el("span", { className: `cut ${answer.o}`, textContent: `${answer.b} ${MARKS[answer.o]}`, title: `cut at ${answer.b}: ${answer.s}` }));
    from = answer.c;
  }
  box.append(one.r.slice(from));
  return box;
};
const showOne = (one) => {
  chosen = one;
  const asked = runs.problems[one.p];
  const heads = ["cut at", "verdict", "answer", "thought", "answer"].map((text, at) => el("th", { scope: "col", className: at > 2 ? "n" : "" }, text, at > 2 ? el("span", { className: "unit", textContent: "tokens" }) : ""));
  const answers = one.a.map((answer) => el("tr", {},
    el("td", { textContent: answer.b === "max" ? "not cut" : answer.b }), el("td", {}, outcome(answer)),
    el("td", { textContent: answer.g ? `${answer.s}\n→ ${answer.g}` : answer.s }), el("td", { className: "n", textContent: answer.t }), el("td", { className: "n", textContent: answer.n })));
  $("b-one").replaceChildren(
    el("p", { className: "question", textContent: asked.question }),
    el("p", { className: "note", textContent: `${runs.models[one.m]} on ${runs.tasks[asked.task]}, problem ${asked.id}, trajectory ${one.k}${one.w ? `, ${one.w} waits` : ""}. Compared with: ${asked.gold}` }),
    chain(one),
    el("p", { className: "note", textContent: `${one.t} reasoning tokens. ${ENDS[one.e]} ${one.x ? "" : "Cuts stand about where they were: records hold texts, not tokens."}` }),
    el("div", { className: "scroll" }, el("table", { className: "answers-table" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...answers))));
  for (const button of $("b-list").querySelectorAll("button")) if (button.one === one) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
};
const drawList = (first) => {
  const item = (one) => {
    const marks = el("span", { className: "marks" }, ...one.a.map((answer) => el("b", { className: answer.o, textContent: MARKS[answer.o] })));
    marks.setAttribute("aria-label", one.a.map((answer) => `${answer.b} ${WORDS[answer.o]}`).join(", "));
    const button = el("button", { type: "button", one }, el("small", {}, `${runs.models[one.m]} · ${runs.problems[one.p].id} · ${one.k}`, marks), el("span", { textContent: runs.problems[one.p].question }));
    button.addEventListener("click", () => { showOne(one); if (matchMedia("(max-width: 60rem)").matches) $("b-one").scrollIntoView(); });
    return el("li", {}, button);
  };
  $("b-list").replaceChildren(...found.slice(first, first + PAGE).map(item));
  if (found[first]) showOne(found[first]); else $("b-one").replaceChildren();
};
const search = () => {
  const [model, task, result, text] = ["b-model", "b-task", "b-outcome", "b-text"].map((id) => $(id).value);
  const wanted = text.toLowerCase();
  const holds = (one) => [runs.problems[one.p].question, one.r, ...one.a.map((answer) => answer.s)].some((part) => part.toLowerCase().includes(wanted));
  found = runs.trajectories.filter((one) => (!model || runs.models[one.m] === model) && (!task || runs.tasks[runs.problems[one.p].task] === task) && (!result || last(one)?.o === result) && (!wanted || holds(one)));
  $("b-count").textContent = `${found.length} of ${runs.trajectories.length} trajectories. Marks, one for each budget: ${Object.keys(MARKS).map((name) => `${MARKS[name]} ${WORDS[name]}`).join(", ")}`;
  turnList(found.length);
};
const turnList = $("b-list") && pager("b", drawList);
const openBrowser = async () => {
  if (runs || !$("trajectories-data").textContent) return;
  runs = await inflate($("trajectories-data").textContent);
  fill($("b-model"), runs.models);
  fill($("b-task"), runs.tasks);
  fill($("b-outcome"), [...new Set(runs.trajectories.map((one) => last(one)?.o))].filter(Boolean), (name) => WORDS[name]);
  for (const id of ["b-model", "b-task", "b-outcome"]) $(id).addEventListener("change", search);
  let waiting;
  $("b-text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
  document.querySelector("#trajectories form").addEventListener("submit", (event) => event.preventDefault());
  $("browser").hidden = false;
  search();
};
if ($("browser")) new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) openBrowser(); }, { rootMargin: "800px" }).observe($("trajectories"));

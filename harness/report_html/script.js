"use strict";
// Draws the charts, and adds to what can be read without it: legends, downloads, the table of cells and the browser of
// trajectories. All text goes in as textContent; nothing is fetched.
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

// Charts: drawn when they come into view. Values on pointing are ECharts'; arrow keys go through them too.
const described = JSON.parse($("charts-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
const draw = (figure) => {
  const chart = drawn.get(figure) ?? echarts.init(figure.querySelector(".chart"), null, { useCoarsePointer: true, pointerSize: 28 });
  drawn.set(figure, chart);
  const { option } = charts.options(described[figure.chart], { dark: dark.matches, selected: figure.selected });
  chart.setOption(option, { notMerge: true });
  return chart;
};
const shown = (figure) => drawn.get(figure) ?? draw(figure);
const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) shown(target.parentNode);
}, { rootMargin: "600px" });
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) if (target.clientWidth) drawn.get(target.parentNode)?.resize();
});
dark.addEventListener("change", () => {
  drawn.forEach((_, figure) => draw(figure));
  figures.forEach(colourKeys);
});
addEventListener("beforeprint", () => figures.filter((figure) => !figure.hidden).forEach(shown));

// What can be pointed at, in the order of the arrow keys.
const valued = (chart) => chart.getOption().series.flatMap(({ data, name }, seriesIndex) => data.flatMap((one, dataIndex) => one.says ? [{ seriesIndex, dataIndex, name, says: one.says }] : []));
const keys = (figure, event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const chart = shown(figure);
  if (event.key === "Escape") chart.dispatchAction({ type: "hideTip" });
  if (!step) return;
  event.preventDefault();
  const all = valued(chart).filter(({ name }) => figure.selected[name] !== false);
  if (!all.length) return;
  figure.at = ((figure.at ?? (step > 0 ? -1 : 0)) + step + all.length) % all.length;
  const { seriesIndex, dataIndex, says } = all[figure.at];
  chart.dispatchAction({ type: "showTip", seriesIndex, dataIndex });
  $("tip").textContent = says;
};
const legend = (figure) => charts.names(described[figure.chart]).map(({ name, colour, mark }) => {
  const key = el("button", { type: "button", className: "key", textContent: name, ariaPressed: "true", colour });
  key.dataset.mark = mark;
  key.addEventListener("click", () => {
    figure.selected[name] = key.ariaPressed === "false";
    key.ariaPressed = String(figure.selected[name]);
    draw(figure);
  });
  return key;
});
const colourKeys = (figure) => {
  for (const key of figure.querySelectorAll(".key")) key.style.setProperty("--key", charts.colour(key.colour, dark.matches));
};

// Downloads: as the files beside this page, without what is hidden.
const save = (blob, name) => {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const toSvg = (figure) => charts.svg(described[figure.chart], figure.selected);
const toPng = async (figure) => {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(toSvg(figure))}`;
  await image.decode();
  const canvas = el("canvas", { width: image.width * 2, height: image.height * 2 });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};
const valuesOf = (figure) => {
  const list = el("ul");
  const details = el("details", { className: "values" }, el("summary", { textContent: "Values" }), list);
  details.addEventListener("toggle", () => {
    if (details.open) list.replaceChildren(...valued(shown(figure)).map(({ says }) => el("li", { textContent: says.replaceAll("\n", "; ") })));
  });
  return details;
};
for (const figure of figures) {
  const box = figure.querySelector(".chart");
  const name = figure.id.replace("figure-", "");
  Object.assign(figure, { chart: name, selected: {} });
  box.style.height = `${charts.options(described[name]).height}px`;
  const button = (text, act) => el("button", { type: "button", textContent: text, ariaLabel: `Download ${name} as ${text}`, onclick: act });
  const downloads = [
    button("SVG", () => save(new Blob([toSvg(figure)], { type: "image/svg+xml" }), `${name}.svg`)),
    button("PNG", async () => save(await toPng(figure), `${name}.png`)),
  ];
  box.after(el("div", { className: "tools" }, ...legend(figure), el("span", { className: "save" }, ...downloads)));
  figure.append(valuesOf(figure));
  colourKeys(figure);
  box.addEventListener("keydown", (event) => keys(figure, event));
  box.addEventListener("blur", () => drawn.get(figure)?.dispatchAction({ type: "hideTip" }));
  inView.observe(box);
  resized.observe(box);
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

"use strict";
const $ = (css, at = document) => at.querySelector(css);
const $$ = (css, at = document) => [...at.querySelectorAll(css)];
const esc = text => String(text ?? "").replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
const pct = v => v == null ? "–" : (v < -.0005 ? "−" : "") + Math.abs(100 * v).toFixed(1);
const signed = v => v == null ? "–" : (v < .0005 ? "" : "+") + pct(v);
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
async function inflate(id) {
  const stream = new Blob([bytes($(id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
const state = {sorts: {}, text: ""};
let data, records, cell, classes, pairs;
const views = {}, specs = JSON.parse($("#specs").textContent);
function read(columns) {  // columns of integers -> records; figures are multiples of 1 / unit
  const keys = Object.keys(columns), rows = [];
  for (let i = 0; i < columns.run.length; i++) {
    const row = {};
    for (const key of keys) row[key] = columns[key][i];
    for (const key of data.figures) if (row[key] != null) row[key] /= data.unit;
    Object.assign(row, {run: data.runs[row.run].label, prompt: data.prompts[row.prompt]});
    const {code, name, group} = data.languages[row.lang] ?? row;
    Object.assign(row, {at: row.lang, lang: code, language: name, group});
    rows.push(row);
  }
  return rows;
}
const figure = (run, code) => cell.get(`${run}|${state.prompt}|${code}`);
const matches = text => !state.text || text.toLowerCase().includes(state.text);
const isVisible = (l, text = `${l.name} ${l.code} ${l.autonym} ${l.script}`) => [l.group, ""].includes(state.group) && [l.script, ""].includes(state.script) && matches(text);
// Columns: a title, the value to sort by, and the cell's HTML.
const column = (title, value, html, more = {}) => ({title, value, html, ...more});
const number = (title, value, show = pct, hint = "") => column(title, value, r => `<td>${show(value(r))}</td>`, {hint});
const place = column("language", l => l.name, l => `<th scope="row">${esc(l.name)}<span class="code">${l.code}</span></th>`, {text: true});
const own = column("autonym", l => l.autonym ?? "", l => `<td class="text"><span dir="auto" lang="${esc(l.tag)}">${esc(l.autonym ?? "")}</span></td>`, {text: true});
const group = column("group", l => data.groups.indexOf(l.group), l => `<td class="text"><span class="pill ${l.group}">${l.group}</span></td>`, {text: true});
const script = column("script", l => l.script, l => `<td class="text">${l.script}</td>`, {text: true});
const size = column("classes", l => l.n_classes, l => `<td>${l.n_classes}</td>`);
const heat = (v, most, {gap = false, top = false, hint = "", show = pct} = {}) => {
  const share = v == null ? 0 : Math.max(0, Math.min(1, v / (most || 1)));
  return `<td class="heat${gap ? " gap" : ""}${top ? " top" : ""}" style="--v:${share.toFixed(3)}" title="${esc(hint)}">${show(v)}</td>`;
};
const bounds = (v, lo, hi) => lo == null ? pct(v) : `${pct(v)} (${pct(lo)}–${pct(hi)})`;
const tables = {
  heat() {
    const key = state.measure, isGap = key === "gap";
    const rows = data.languages.filter(l => isVisible(l) && data.runs.some(run => figure(run.label, l.code)));
    const values = rows.flatMap(l => data.runs.map(run => figure(run.label, l.code)?.[key])).filter(v => v != null);
    const most = Math.max(...values, 0.01), pick = isGap ? Math.min : Math.max;
    const tops = new Map(rows.map(l => [l.code, pick(...data.runs.map(run => run.rival ? figure(run.label, l.code)?.[key] : null).filter(v => v != null))]));
    const runs = data.runs.map(run => column(run.label, l => figure(run.label, l.code)?.[key], l => {
      const r = figure(run.label, l.code);
      const hint = r ? `${run.label}, ${l.name}: ${bounds(r.accuracy, r.accuracy_low, r.accuracy_high)} on ${r.n_classes} classes` : `${run.label}: no result`;
      return heat(r?.[key], most, {gap: isGap, top: run.rival && r?.[key] === tops.get(l.code), hint});
    }, {hint: run.model, isHeat: true}));
    return {rows, columns: [place, own, group, script, size, ...runs], cut: "group"};
  },
  detail() {
    const r = l => figure(state.run, l.code) ?? {};
    const rows = data.languages.filter(l => isVisible(l) && figure(state.run, l.code));
    const range = l => { const x = r(l); return `<td><span class="range${x.accuracy_low == null ? "" : " whisker"}" title="${bounds(x.accuracy, x.accuracy_low, x.accuracy_high)}" style="--v:${x.accuracy};--lo:${x.accuracy_low};--hi:${x.accuracy_high}"></span><span class="figure">${pct(x.accuracy)}</span></td>`; };
    const interval = (key, show) => l => { const x = r(l); return x[`${key}_low`] == null ? "–" : `${show(x[`${key}_low`])} … ${show(x[`${key}_high`])}`; };
    const flags = data.flags ? [column("flagged labels", l => data.flags[l.code]?.flagged, l => { const f = data.flags[l.code]; return `<td title="${f ? esc(Object.entries(f).filter(([k, n]) => n && k !== "flagged").map(([k, n]) => `${k} ${n}`).join(", ")) : ""}">${f?.flagged ?? "–"}</td>`; }, {hint: "labels that a rule finds odd; see Label quality"})] : [];
    return {rows, cut: "group", columns: [place, own, group, size,
      number("photos", l => r(l).n_images, v => v ?? "–"), column("accuracy", l => r(l).accuracy, range),
      column("95 %", l => r(l).accuracy_low, l => `<td>${interval("accuracy", pct)(l)}</td>`),
      number("chance", l => r(l).chance), number("above chance", l => r(l).centred), number("10-way", l => r(l).k10), number("ceiling", l => r(l).ceiling),
      number("English", l => r(l).english), number("gap", l => r(l).gap, signed), column("95 %", l => r(l).gap_low, l => `<td>${interval("gap", signed)(l)}</td>`), ...flags]};
  },
  flags() {
    const f = l => data.flags[l.code], score = l => figure(state.run, l.code)?.centred;
    return {rows: data.languages.filter(l => isVisible(l) && f(l)), cut: "group", columns: [place, size, number("above chance", score),
      number("share flagged", l => f(l).flagged / l.n_classes), ...Object.keys(data.rules).map(k => number(k.replaceAll("_", " "), l => f(l)[k] || null, v => v ?? "", data.rules[k]))]};
  },
  pairs() {
    const rows = pairRows();
    const verdict = r => `<td class="${r.p < .05 ? (r.diff > 0 ? "up" : "down") : ""}">${signed(r.diff)}</td>`;
    const a = r => figure(state.a, r.code)?.accuracy, b = r => figure(state.b, r.code)?.accuracy;
    $("#verdict").textContent = rows.length ? `${state.a} is better in ${rows.filter(r => r.p < .05 && r.diff > 0).length} of ${rows.length} languages, ${state.b} in ${rows.filter(r => r.p < .05 && r.diff < 0).length}; in the rest the difference could be chance.` : "These two have no decisions on the same photos.";
    return {rows, columns: [place, group, size, number(state.a, a), number(state.b, b), column("difference", r => r.diff, verdict),
      column("95 %", r => r.low, r => `<td>${signed(r.low)} … ${signed(r.high)}</td>`), column("p (Holm)", r => r.p, r => `<td>${r.p < .001 ? "< 0.001" : r.p.toFixed(3)}</td>`)], sort: {by: 5, way: -1}};
  },
  recalls() {
    const rows = data.recalls.filter(r => r.set === state.set && isVisible(data.languages[r.lang] ?? data.others[r.code]));
    const shown = rows.map(r => ({...(data.languages[r.lang] ?? data.others[r.code]), ...r}));
    const names = [...new Set(shown.flatMap(r => Object.keys(r.scores)))], tops = names.map(k => Math.max(...shown.map(r => r.scores[k] ?? 0)));
    return {rows: shown, columns: [place, column("model", r => r.run, r => `<td class="text">${esc(r.run)}</td>`, {text: true}),
      ...names.map((k, i) => column(k.replace("_r@", " R@"), r => r.scores[k], r => heat(r.scores[k], tops[i], {show: v => (/_r@/.test(k) ? pct(v) : v ?? "–") + (r.bounds[k] ? `<small>${pct(r.bounds[k][0])}–${pct(r.bounds[k][1])}</small>` : "")}), {isHeat: true}))]};
  },
  classes() {
    const at = classes.codes.indexOf(state.language), index = classes.english.indexOf(state.class);
    const runs = data.runs.map((run, i) => [run, classes.right[`${i}|${data.prompts.indexOf(state.prompt)}`]]).filter(([, right]) => right);
    const line = (k, row) => ({...data.languages.find(l => l.code === classes.codes[k]), english: classes.english[classes.index[k][row]], label: classes.label[k][row],
      flags: classes.flag_names.filter((_, i) => classes.flags[k][row] >> i & 1).join(", "), shares: runs.map(([, right]) => right[classes.offset[k] + row])});
    const all = index < 0 ? (classes.index[at] ?? []).map((_, row) => line(at, row))
      : classes.codes.flatMap((_, k) => { const row = classes.index[k].indexOf(index); return row < 0 ? [] : [line(k, row)]; }).filter(l => isVisible(l));
    const mean = shares => { const known = shares.filter(s => s !== 255); return known.length ? known.reduce((x, y) => x + y) / known.length / 100 : null; };
    const name = column("class", r => r.english, r => `<th scope="row">${esc(r.english)}</th>`, {text: true}), percent = {show: v => v == null ? "–" : Math.round(100 * v)};
    const of = (title, value) => column(title, value, r => heat(value(r), 1, percent), {isHeat: true});
    if (index < 0 && at < 0) {  // every class over its languages
      const found = classes.english.map(english => ({english, lines: []}));
      classes.codes.forEach((code, k) => isVisible(data.languages.find(l => l.code === code), state.text) && classes.index[k].forEach((c, row) => found[c].lines.push({code, shares: runs.map(([, right]) => right[classes.offset[k] + row])})));
      const never = r => r.lines.filter(l => mean(l.shares) === 0).map(l => l.code);
      return {rows: found.filter(r => matches(r.english) && r.lines.some(l => mean(l.shares) != null)), sort: {by: 3, way: 1}, columns: [name, number("languages", r => r.lines.length, v => v),
        column("never right in", r => never(r).length, r => `<td class="text wide" title="${never(r).join(" ")}">${never(r).length} <span class="code">${never(r).join(" ")}</span></td>`, {text: true}),
        of("mean right", r => mean(r.lines.flatMap(l => l.shares))), ...runs.map(([run], i) => of(run.label, r => mean(r.lines.map(l => l.shares[i]))))]};
    }
    const rows = index < 0 ? all.filter(r => matches(`${r.english} ${r.label}`)) : all;
    return {rows, columns: [index < 0 ? name : place, column("label", r => r.label, r => `<td class="text wide" title="${esc(r.label)}"><span dir="auto" lang="${esc(r.tag)}">${esc(r.label)}</span></td>`, {text: true}),
      column("flags", r => r.flags, r => `<td class="text note">${esc(r.flags)}</td>`, {text: true}), of("mean right", r => mean(r.shares)), ...runs.map(([run], i) => of(run.label, r => mean([r.shares[i]])))],
      sort: {by: 3, way: 1}};
  },
};
function pairRows() {
  const of = label => data.runs.findIndex(run => run.label === label), p = data.prompts.indexOf(state.prompt);
  const [a, b] = [of(state.a), of(state.b)], turn = a > b ? -1 : 1, found = pairs?.[`${p}|${Math.min(a, b)}|${Math.max(a, b)}`];
  const rows = (found?.lang ?? []).map((at, i) => ({...data.languages[at], language: data.languages[at].name, diff: turn * found.diff[i] / data.unit,
    low: (turn > 0 ? found.low[i] : -found.high[i]) / data.unit, high: (turn > 0 ? found.high[i] : -found.low[i]) / data.unit, p: found.p[i] / data.unit}));
  return rows.filter(r => isVisible(r));
}
function fill(table) {
  const name = table.dataset.table, {rows, columns: all, cut, sort} = tables[name](), order = state.sorts[name] ?? sort;
  const columns = all.filter(c => c.text || rows.some(r => c.value(r) != null));
  if (order && columns[order.by]) {
    const {value} = columns[order.by];
    const compare = (x, y) => typeof x === "string" ? x.localeCompare(y) : x - y;
    rows.sort((r, s) => { const [x, y] = [value(r), value(s)]; return (x == null) - (y == null) || (x == null ? 0 : order.way * compare(x, y)); });
  }
  const sorted = i => order?.by === i ? (order.way > 0 ? "ascending" : "descending") : "none";
  table.tHead.innerHTML = `<tr>${columns.map((c, i) => `<th scope="col" class="${c.text ? "text" : c.isHeat ? "heat" : ""}" aria-sort="${sorted(i)}" title="${esc(c.hint)}"><button data-by="${i}">${esc(c.title)}</button></th>`).join("")}</tr>`;
  table.tBodies[0].innerHTML = rows.map((r, i) => `<tr${cut && !order && i && rows[i - 1][cut] !== r[cut] ? ' class="cut"' : ""}>${columns.map(c => c.html(r)).join("")}</tr>`).join("");
  $(`[data-count="${name}"]`)?.replaceChildren(`${rows.length} row${rows.length === 1 ? "" : "s"}`);
}
const seen = rows => rows.filter(r => isVisible(data.languages[r.at]));
const sources = {rows: () => seen(records), groups: () => data.groupMeans, best: () => seen(data.best), pairs: pairRows};
function showTip(_, event, item, value) {
  const lines = value == null ? [] : Object.entries(value).map(([k, v]) => `${esc(k.replaceAll("_", " "))}: <b>${esc(v)}</b>`);
  $("#tip").innerHTML = lines.join("<br>");
  if (lines.length) $("#tip").style.translate = `${Math.min(event.clientX + 14, innerWidth - 200)}px ${event.clientY + 14}px`;
}
async function draw(box) {
  const name = box.dataset.chart, spec = specs[name], source = sources[box.dataset.source];
  const options = {mode: "vega", renderer: "svg", actions: false, defaultStyle: false, tooltip: showTip};
  const view = views[name] ??= (await vegaEmbed(box, spec, options)).view;
  for (const {name: key} of spec.signals ?? []) if (key in state) view.signal(key, state[key]);
  if (source) view.data("rows", source());
  await view.runAsync();
}
const isSeen = box => box.getBoundingClientRect().top < innerHeight && box.getBoundingClientRect().bottom > 0;
async function redraw(where = document, then = () => {}) {  // what is on the screen first, then the other charts
  for (const table of $$("[data-table]", where)) if (table.dataset.table !== "classes" || classes) fill(table);
  const boxes = $$("[data-chart]", where), hidden = boxes.filter(box => !isSeen(box));
  const turn = where === document ? state.turn = (state.turn ?? 0) + 1 : state.turn;
  for (const box of boxes.filter(isSeen)) await draw(box);
  await then();
  for (const box of hidden) {
    await new Promise(done => setTimeout(done));
    if (turn !== state.turn) return;  // the reader has chosen something else meanwhile
    await draw(box);
  }
}
document.addEventListener("change", event => {
  const {bind, local} = event.target.dataset;
  if (!bind) return;
  state[bind] = event.target.value;
  for (const twin of $$(`[data-bind="${bind}"]`)) twin.value = event.target.value;
  redraw(local === undefined ? document : event.target.closest("section"));
});
document.addEventListener("input", event => {
  if (event.target.type === "search") clearTimeout(state.timer); else return;
  state.timer = setTimeout(() => { state.text = event.target.value.trim().toLowerCase(); redraw(); }, 120);
});
document.addEventListener("click", event => {
  const {dataset} = document.documentElement, isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (event.target.id === "theme") dataset.theme = dataset.theme ? "" : isDark ? "light" : "dark";
  const by = event.target.closest("button[data-by]")?.dataset.by, table = event.target.closest("table");
  if (by === undefined) return;
  const now = state.sorts[table.dataset.table], isText = event.target.closest("th").classList.contains("text");
  state.sorts[table.dataset.table] = {by: +by, way: now?.by === +by ? -now.way : isText ? 1 : -1};
  fill(table);
});
addEventListener("beforeprint", () => Object.values(views).forEach(view => view.signal("width", 700).run()));  // of A4 and Letter
addEventListener("afterprint", () => dispatchEvent(new Event("resize")));
(async () => {
  data = await inflate("#data");
  records = read(data.columns);
  cell = new Map(records.map(r => [`${r.run}|${r.prompt}|${r.lang}`, r]));
  data.groupMeans = read(data.means);
  for (const control of $$("[data-bind]")) state[control.dataset.bind] = control.value;
  if ($("#pairs")) pairs = await inflate("#pairs");
  await redraw(document, async () => {
    document.body.dataset.ready = Math.round(performance.now());
    if (!$("#classes-data")) return;
    classes = await inflate("#classes-data");
    for (const key in classes.right) classes.right[key] = bytes(classes.right[key]);
    fill($("[data-table=classes]"));
  });
  document.body.dataset.complete = Math.round(performance.now());
})();

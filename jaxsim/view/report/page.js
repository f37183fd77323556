/* The logic of a plan's report. What the page holds is in the element #data (view/report/data.py):
   designs of each phase, and deployments (`rows`) that are best under some targets. Nothing is
   evaluated here: a target selects among the rows by the rule of a plan.

   state  what the reader chose; all of it is in the address after #
   derive(state)  which rows are shown, which is best, what curves follow
   render(derived)  texts, tables and charts (BokehJS)                                              */
"use strict";
(() => {
const $ = (id) => document.getElementById(id);
let D = JSON.parse($("data").textContent);
const KINDS = ["disaggregated", "colocated"];
const NAMES = { disaggregated: "Disaggregated", colocated: "Co-located", piggybacked: "Piggybacked" };
const POOLS = { prefill: "prefill", decode: "decode", colocated: "co-located" };

// ---- numbers as texts: the rules of view/text/units.py ----
const group = (text) => { const [a, b] = text.split("."); return a.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (b === undefined ? "" : "." + b); };
function plain(v, digits = 3) {
  if (v === null || v === undefined || !isFinite(v)) return "n/a";
  v = Number(v.toPrecision(digits));
  if (v === 0) return "0";
  return group(v.toFixed(Math.max(digits - 1 - Math.floor(Math.log10(Math.abs(v))), 0)));
}
const trim = (text) => text.replace(/\.0+$/, "");
const whole = (v) => (isFinite(v) && v !== null ? group(String(Math.round(v))) : "n/a");
function seconds(v) {
  if (!isFinite(v)) return "n/a";
  const [scale, unit] = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]].find(([s]) => v >= s * (1 - 1e-12)) || [1e-9, "ns"];
  return trim(plain(v / scale)) + " " + unit;
}
function bytes(v, unit = "B") {
  const [scale, p] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([s]) => v >= s) || [1, ""];
  return plain(v / scale) + " " + p + unit;
}
const percent = (v) => trim((100 * v).toFixed(Math.abs(v) < 0.0995 ? 1 : 0)) + " %";
const times = (v) => plain(v) + "×";

// ---- deployments ----
let N, R, own;
function load(data) { D = data; R = D.rows; N = R.ttl_s.length; own = D.target; }
load(D);
const kindOf = (k) => KINDS[R.kind[k]];
/** The pools of a deployment: phase, row of the design in its table, number of instances. */
function pools(k) {
  if (R.kind[k] === 1) return [{ phase: "colocated", at: R.first[k], count: R.first_count[k] * copies(k) }];
  return [{ phase: "prefill", at: R.first[k], count: R.first_count[k] * copies(k) },
          { phase: "decode", at: R.second[k], count: R.second_count[k] * copies(k) }];
}
/** How often the unit of a disaggregated deployment fits in the budget; rows of others are whole. */
const copies = (k) => (D.cap && R.kind[k] === 0 ? Math.max(Math.floor(D.cap / R.gpus[k]), 1) : 1);
const value = (pool, name) => D.designs[pool.phase][name][pool.at];
const mapping = (p) => `TP${value(p, "tp")} EP${value(p, "ep")} PP${value(p, "pp")}`;
const held = (p) => `batch ${whole(value(p, "batch"))}` + (p.phase === "decode" ? "" : `, chunk ${whole(value(p, "chunk"))} tokens`);
function instances(p) {
  const mode = p.phase === "colocated" ? ` (${D.modes[value(p, "mode")]})` : "";
  return `${whole(p.count)} ${POOLS[p.phase]} instance${p.count === 1 ? "" : "s"} ${mapping(p)}${mode}`;
}
const deployment = (k) => pools(k).map(instances).join(" + ");
/** What a deployment gives, from its designs: rates, prices, and what its links carry. */
function facts(k) {
  const all = pools(k), gpus = R.gpus[k] * copies(k);
  let requests;
  if (R.kind[k] === 1) requests = (value(all[0], "rate_tokens_per_s") * all[0].count) / (D.osl - 1);
  else requests = Math.min(...all.map((p) => value(p, "requests_per_s") * p.count));
  const tokens = requests * (D.osl - 1);
  const sum = (name) => all.reduce((s, p) => s + p.count * value(p, "gpus") * ((D.gpus[p.phase] || {})[name] || NaN), 0);
  const flows = R.kind[k] === 1 ? [] : all.map((p) => (value(p, "flow_bytes_per_s") * requests) / (value(p, "requests_per_s") * p.count));
  return { all, gpus, requests, tokens, flows, usd: sum("usd_per_hour") / 3600 / tokens * 1e6, joule: tokens / sum("power_w") };
}

// ---- filters: an axis of a pool, with its values or its range ----
const AXES = [];
function findAxes() {
  AXES.length = 0;
  for (const phase of ["prefill", "decode", "colocated"]) {
    if (!D.designs[phase]) continue;
    for (const name of ["tp", "ep", "pp", "mode", "batch", "chunk"]) {
      const column = D.designs[phase][name];
      if (!column) continue;
      const values = [...new Set(column)].sort((a, b) => a - b);
      const label = `${POOLS[phase]} ${name.length < 3 ? name.toUpperCase() : name}`;
      AXES.push({ id: `${phase}_${name}`, phase, name, label, values, range: name === "batch" || name === "chunk" });
    }
  }
  AXES.push({ id: "gpus", phase: "", name: "gpus", label: "GPUs in all", range: true, values: [Math.min(...R.gpus), Math.max(...R.gpus)] });
}
findAxes();
function passes(k) {
  for (const axis of AXES) {
    const chosen = state.filters[axis.id];
    if (!chosen) continue;
    let v;
    if (axis.id === "gpus") v = R.gpus[k] * copies(k);
    else { const p = pools(k).find((one) => one.phase === axis.phase); if (!p) continue; v = value(p, axis.name); }
    if (axis.range ? v < chosen[0] || v > chosen[1] : !chosen.includes(v)) return false;
  }
  return true;
}

// ---- the state, and its words in the address ----
const start = () => ({ ftl: own.ftl_s, ttl: own.ttl_s, filters: {}, a: null, b: null, stack: "decode", tables: {}, theme: "auto", x: null });
let state = start();
function toHash() {
  const q = new URLSearchParams();
  // The fields of a live page are there too, and are its own.
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key.startsWith("q.")) q.set(key, value);
  if (state.ftl !== own.ftl_s) q.set("ftl", state.ftl);
  if (state.ttl !== own.ttl_s) q.set("ttl", state.ttl);
  for (const [id, chosen] of Object.entries(state.filters)) q.set("f." + id, chosen.join(","));
  for (const name of ["a", "b"]) if (state[name] !== null) q.set(name, state[name]);
  if (state.stack !== "decode") q.set("stack", state.stack);
  for (const id of Object.keys(state.tables)) if (state.tables[id]) q.set("t." + id, 1);
  if (state.theme !== "auto") q.set("theme", state.theme);
  if (state.x) q.set("x", state.x.map((v) => v.toPrecision(4)).join(","));
  return q.toString();
}
function fromHash() {
  const q = new URLSearchParams(location.hash.slice(1)), found = start();
  const number = (name, otherwise) => { const v = parseFloat(q.get(name)); return isFinite(v) && v > 0 ? v : otherwise; };
  found.ftl = number("ftl", own.ftl_s);
  found.ttl = number("ttl", own.ttl_s);
  for (const axis of AXES) {
    const values = (q.get("f." + axis.id) || "").split(",").map(parseFloat).filter(isFinite);
    if (q.has("f." + axis.id) && (!axis.range || values.length === 2)) found.filters[axis.id] = values;
  }
  for (const name of ["a", "b"]) { const v = parseInt(q.get(name), 10); if (v >= 0 && v < N) found[name] = v; }
  if (["prefill", "decode", "colocated"].includes(q.get("stack"))) found.stack = q.get("stack");
  for (const key of q.keys()) if (key.startsWith("t.")) found.tables[key.slice(2)] = true;
  if (["light", "dark"].includes(q.get("theme"))) found.theme = q.get("theme");
  const x = (q.get("x") || "").split(",").map(parseFloat);
  if (x.length === 2 && x.every(isFinite) && x[0] < x[1]) found.x = x;
  return found;
}

// ---- what follows from the state ----
/** The row that a plan would take of `rows`: see Choices in space/deploy/result.py. */
function best(rows) {
  if (!rows.length) return null;
  const most = Math.max(...rows.map((k) => R.bound[k]));
  const least = most * (1 - D.tolerance) * (1 - 1e-6);
  let left = rows.filter((k) => R.worth[k] >= least);
  if (!left.length) left = rows.filter((k) => R.bound[k] === most);
  if (R.kind[left[0]] === 1) left = rows.filter((k) => R.worth[k] >= Math.max(...rows.map((j) => R.worth[j])) * (1 - D.tie));
  const few = Math.min(...left.map((k) => R.gpus[k]));
  left = left.filter((k) => R.gpus[k] <= few * (1 + 1e-6));
  const top = Math.max(...left.map((k) => R.worth[k])), exact = D.tolerance === 0 && R.kind[left[0]] === 0;
  left = left.filter((k) => R.worth[k] >= top * (1 - (exact ? 1e-6 : D.tie)));
  const order = R.kind[left[0]] === 1 ? ["ttl_s", "ftl_s"] : [...(exact ? ["first_count", "second_count"] : []), "ftl_s", "ttl_s"];
  const before = (a, b) => { for (const name of order) if (R[name][a] !== R[name][b]) return R[name][a] - R[name][b]; return 0; };
  return left.sort(before)[0];
}
/** Rows of which each gives more than all that are faster, by rising interactivity. */
function frontier(rows) {
  let top = -Infinity;
  const kept = rows.slice().sort((a, b) => R.ttl_s[a] - R.ttl_s[b] || R.bound[b] - R.bound[a]).filter((k) => (R.bound[k] > top * (1 + 1e-9) ? ((top = R.bound[k]), true) : false));
  return kept.reverse();
}
const LATE = 1 + 1e-6; // numbers of the page are rounded
function derive() {
  const shown = [];
  for (let k = 0; k < N; k++) if (passes(k)) shown.push(k);
  const inFtl = shown.filter((k) => R.ftl_s[k] <= state.ftl * LATE);
  const meets = inFtl.filter((k) => R.ttl_s[k] <= state.ttl * LATE);
  const of = (rows, kind) => rows.filter((k) => R.kind[k] === kind);
  const found = [best(of(meets, 0)), best(of(meets, 1))];
  const curves = { disaggregated: frontier(of(inFtl, 0)), colocated: frontier(of(inFtl, 1)) };
  if (D.designs.colocated) curves.piggybacked = frontier(of(inFtl, 1).filter((k) => D.designs.colocated.mode[R.first[k]] === 1));
  const gain = found[0] !== null && found[1] !== null ? R.worth[found[0]] / R.worth[found[1]] : null;
  let chosen = null;
  if (found[0] !== null && (gain === null || gain > 1)) chosen = found[0];
  else if (found[1] !== null) chosen = found[1];
  return { shown, meets, found, curves, gain, chosen };
}
/** The curve's row at an interactivity: the best that is at least as fast. */
const at = (curve, x) => curve.find((k) => 1 / R.ttl_s[k] >= x * (1 - 1e-9));
const untouched = () => state.ftl === own.ftl_s && state.ttl === own.ttl_s && !Object.keys(state.filters).length;
/** Φ, by the error function of Abramowitz and Stegun 7.1.26 (within 2e-7). */
function normal(z) {
  const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + 0.3275911 * x);
  const erf = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x);
  return z >= 0 ? 0.5 * (1 + erf) : 0.5 * (1 - erf);
}
function verdict(d) {
  if (untouched()) return D.own.verdict;
  if (d.gain === null) return d.chosen === null ? "" : `${d.found[0] === null ? "Disaggregated" : "Co-located"} designs cannot meet the targets.`;
  const more = d.gain > 1, gain = more ? d.gain : 1 / d.gain;
  let text = `${more ? "Disaggregated" : "Co-located"} gives ${times(gain)} the ${D.worth} of ${more ? "co-located" : "disaggregated"}`;
  if (D.gain_log_sigma) {
    const wide = Math.exp(1.2815515655446 * D.gain_log_sigma);
    const p = normal(Math.log(gain) / D.gain_log_sigma);
    text += `; it wins with probability ${p > 0.995 ? "> 0.99" : p.toFixed(2)} (80 % interval of the gain: ${times(gain / wide)} – ${times(gain * wide)})`;
  }
  return text + ".";
}
function recommendation(d) {
  if (untouched()) return D.own.recommendation;
  if (d.chosen === null) return Object.keys(state.filters).length ? "No design that is held meets both targets and the filters" : "No design meets both targets";
  return `Deploy ${R.kind[d.chosen] ? "co-located" : "disaggregated"}: ${deployment(d.chosen)}`;
}

// ---- texts and tables ----
const element = (tag, text, attributes = {}) => { const e = document.createElement(tag); if (text !== null) e.textContent = text; for (const [n, v] of Object.entries(attributes)) e.setAttribute(n, v); return e; };
function table(head, rows, left = [0]) {
  const t = element("table", null), body = element("tbody", null), top = element("tr", null);
  const cell = (tag, text, i) => element(tag, text, left.includes(i) ? { class: "l" } : {});
  head.forEach((text, i) => { const th = cell("th", text, i); th.scope = "col"; top.append(th); });
  const thead = element("thead", null); thead.append(top); t.append(thead);
  for (const row of rows) { const tr = element("tr", null); row.forEach((text, i) => tr.append(cell("td", text, i))); body.append(tr); }
  t.append(body);
  return t;
}
function csv(head, rows) {
  const quoted = (v) => { const s = String(v ?? ""); return /[",\n]/.test(s) ? `"${s.replace(/"/g, '""')}"` : s; };
  return [head, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}
function save(name, text) {
  const link = element("a", "", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function renderFixed(d) {
  const names = ["disaggregated", "colocated", "piggybacked"].filter((n) => d.curves[n]);
  const cell = (n, x) => { const k = at(d.curves[n], x); return k === undefined ? NaN : R.y[k]; };
  const rows = D.levels.map((x) => [x, ...names.map((n) => cell(n, x))]);
  const shared = rows.filter((r) => r.every(isFinite));
  const mean = names.map((_, i) => (shared.length ? Math.exp(shared.reduce((s, r) => s + Math.log(r[i + 1]), 0) / shared.length) : NaN));
  const text = (r, first) => [first, ...r.map((v) => (isFinite(v) ? whole(v) : "–")), isFinite(r[0] / r[1]) ? times(r[0] / r[1]) : "–"];
  const out = table(["tokens/s a user", ...names.map((n) => NAMES[n]), "gain"], rows.map((r) => text(r.slice(1), plain(r[0]).replace(/\.0+$/, ""))));
  const foot = element("tr", null, { class: "sum" });
  text(mean, "geometric mean").forEach((t, i) => foot.append(element("td", t, i ? {} : { class: "l" })));
  const tfoot = element("tfoot", null); tfoot.append(foot); out.append(tfoot);
  $("fixed").replaceChildren(out);
}
function bar(parts) { // [label, size, colour]
  const total = parts.reduce((s, p) => s + p[1], 0) || 1, out = element("div", null, { class: "bar" });
  for (const [label, size, colour] of parts) if (size > 0) {
    const span = element("span", null, { title: `${label}: ${percent(size / total)}` });
    span.style.width = `${(100 * size) / total}%`; span.style.background = colour; out.append(span);
  }
  return out;
}
const passName = { prefill: "a batch", decode: "a step", colocated: "a step" };
function renderCompare(d) {
  const sides = [state.a ?? d.found[0], state.b ?? d.found[1]], lines = [];
  const f = sides.map((k) => (k === null ? null : facts(k)));
  const line = (name, make) => lines.push([name, ...sides.map((k, i) => (k === null ? "–" : make(k, f[i])))]);
  line("Kind", (k) => NAMES[kindOf(k)]);
  line("Deployment", (k) => deployment(k));
  line("Works on", (k, g) => g.all.map((p) => `${POOLS[p.phase]} ${held(p)}`).join("; "));
  line("Output tokens/s/GPU", (k, g) => whole(g.tokens / g.gpus));
  line("80 % interval", (k, g) => { const y = g.tokens / g.gpus / R.y[k]; return `${whole(R.low[k] * y)} – ${whole(R.high[k] * y)}`; });
  line("FTL (TTFT)", (k) => seconds(R.ftl_s[k]));
  line("TTL (TPOT)", (k) => seconds(R.ttl_s[k]));
  line("Tokens/s a user", (k) => plain(1 / R.ttl_s[k]));
  line("GPUs", (k, g) => whole(g.gpus));
  line("Requests/s", (k, g) => plain(g.requests));
  line("$ per million output tokens", (k, g) => (isFinite(g.usd) ? "$" + plain(g.usd) : "n/a"));
  line("Output tokens/J", (k, g) => plain(g.joule));
  line("KV out of a prefill GPU", (k, g) => (g.flows.length ? bytes(g.flows[0], "B/s") + ofLink(g.flows[0]) : "–"));
  line("KV into a decode GPU", (k, g) => (g.flows.length ? bytes(g.flows[1], "B/s") + ofLink(g.flows[1]) : "–"));
  const title = (i) => ((i ? state.b : state.a) === null ? ["A: best disaggregated", "B: best co-located"][i] : `${"AB"[i]}: chosen`);
  $("compare").replaceChildren(table(["", title(0), title(1)], lines, [0]));
  const bars = element("div", null, { class: "sides" });
  sides.forEach((k, i) => {
    const side = element("div", null); side.append(element("h3", `${title(i)}: time and memory`));
    for (const p of k === null ? [] : f[i].all) {
      const parts = Object.entries(D.parts).map(([n, q]) => [q.title, value(p, n), q.colour]);
      side.append(element("p", `${POOLS[p.phase]} ${mapping(p)}: ${seconds(parts.reduce((s, q) => s + q[1], 0))} ${passName[p.phase]}`, { class: "soft" }), bar(parts));
      const capacity = (D.gpus[p.phase] || {}).capacity_bytes || 0;
      const memory = [["weights", "#0072B2"], ["kv", "#56B4E9"], ["activation", "#E69F00"], ["reserve", "#999999"]].map(([n, c]) => [n, value(p, n + "_bytes"), c]);
      const used = memory.reduce((s, q) => s + q[1], 0);
      side.append(element("p", `memory: ${memory.map((q) => `${q[0]} ${bytes(q[1])}`).join(", ")}${capacity ? ` of ${bytes(capacity)}` : ""}`, { class: "soft" }), bar([...memory, ["free", Math.max(capacity - used, 0), "var(--line)"]]));
    }
    bars.append(side);
  });
  const key = element("div", null, { class: "legend" });
  for (const q of Object.values(D.parts)) { const s = element("span", q.title), i = element("i", null); i.style.background = q.colour; s.prepend(i); key.append(s); }
  $("sides").replaceChildren(bars, key);
  $("picked").textContent = state.a === null ? "Click a design of the picture, or press ← and → on it, to see it here as A." : `A is ${deployment(state.a)}.`;
  $("keep").disabled = state.a === null; $("best").disabled = state.a === null && state.b === null;
}
const ofLink = (v) => (D.link_bytes_per_s ? ` (${percent(v / D.link_bytes_per_s)} of its link)` : "");

// ---- charts ----
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = {}; // by id: the columns of its table, and its rows
const B = {}; // figures and sources of BokehJS
const P = window.Bokeh && Bokeh.Plotting;
const tints = []; // models of BokehJS, their properties, and the colour of the page that these have
function tint(model, name, ...properties) {
  for (const property of properties) { tints.push([model, property, name]); model[property] = css("--" + name); }
  return model;
}
const CURVES = ["disaggregated", "colocated", "piggybacked"];
function figure(id, options) {
  const f = P.figure({ tools: "pan,xwheel_zoom,box_zoom,reset", active_drag: "box_zoom", sizing_mode: "stretch_width", min_width: 200, toolbar_location: "above", output_backend: "canvas", ...options });
  tint(f, "page", "background_fill_color", "border_fill_color"); f.outline_line_color = null;
  for (const axis of [f.xaxis, f.yaxis].flat()) for (const a of [axis].flat()) {
    tint(a, "ink", "axis_label_text_color"); tint(a, "soft", "major_label_text_color", "axis_line_color", "major_tick_line_color");
    a.minor_tick_line_color = null; a.axis_label_text_font_style = "normal";
  }
  for (const g of [f.xgrid, f.ygrid].flat()) tint(g, "line", "grid_line_color");
  f.toolbar.logo = null;
  return f;
}
const legend = (f, where) => { const l = [f.legend].flat()[0]; if (!l) return; l.location = where; tint(l, "page", "background_fill_color"); l.background_fill_alpha = 0.8; l.border_line_color = null; tint(l, "ink", "label_text_color"); l.label_text_font_size = "12px"; l.padding = 4; l.spacing = 2; };
function build() {
  const S = (names) => new Bokeh.ColumnDataSource({ data: Object.fromEntries(names.map((n) => [n, []])) });
  const label = "interactivity: output tokens/s a user (1/TTL)";
  const small = document.documentElement.clientWidth < 600;
  tints.length = 0;
  // Frontiers
  B.range = new Bokeh.Range1d({ start: 0, end: 1 });
  const f = figure("frontier", { height: small ? 320 : 420, x_range: B.range, x_axis_label: label, y_axis_label: "output tokens/s/GPU" });
  const hover = [];
  for (const name of CURVES) {
    B[name] = S(["x", "y", "low", "high", "row", "what", "ttl", "band"]);
    B[name + "_steps"] = S(["x", "y", "low", "high"]);
    const colour = css("--" + name), source = B[name + "_steps"];
    if (name !== "piggybacked") f.varea_step({ x: { field: "x" }, y1: { field: "low" }, y2: { field: "high" }, step_mode: "before", source, fill_color: colour, fill_alpha: 0.13 });
    f.step({ x: { field: "x" }, y: { field: "y" }, mode: "before", source, line_color: colour, line_width: name === "piggybacked" ? 1.5 : 2.5, line_dash: name === "piggybacked" ? [5, 3] : name === "colocated" ? [10, 2] : [], legend_label: NAMES[name] });
    const dots = f.scatter({ x: { field: "x" }, y: { field: "y" }, source: B[name], marker: { value: { disaggregated: "circle", colocated: "square", piggybacked: "triangle" }[name] }, size: 5, fill_color: colour, line_color: null, fill_alpha: 0.75, nonselection_fill_alpha: 0.75, legend_label: NAMES[name] });
    hover.push(dots);
    B[name].selected.properties.indices.change.connect(() => {
      const i = B[name].selected.indices[0];
      if (i !== undefined) { const k = B[name].data.row[i]; B[name].selected.indices = []; change({ a: k }); }
    });
  }
  B.marks = S(["x", "y", "text"]);
  const marked = (colour, visible) => [
    f.scatter({ x: { field: "x" }, y: { field: "y" }, source: B.marks, size: 14, fill_color: null, line_color: colour, line_width: 2, visible }),
    f.text({ x: { field: "x" }, y: { field: "y" }, text: { field: "text" }, source: B.marks, x_offset: 10, y_offset: -8, text_color: colour, text_font_size: "13px", text_font_style: "bold", visible }),
  ];
  B.marked = { screen: marked(css("--ink"), true), paper: marked("#1d2329", false) };
  const span = (more) => tint(new Bokeh.Span({ location: 0, ...more }), "ink", "line_color");
  B.target = span({ dimension: "height", line_dash: [2, 4], line_width: 1.5 });
  f.add_layout(B.target);
  f.add_tools(new Bokeh.HoverTool({ renderers: hover, tooltips: [["", "@what"], ["tokens/s/GPU", "@y{0,0} (80 %: @band)"], ["TTL", "@ttl"]] }), new Bokeh.TapTool({ renderers: hover }));
  legend(f, "top_right");
  // Gain
  const g = figure("gain", { height: 170, x_range: B.range, x_axis_label: label, y_axis_label: "gain" });
  B.gain = S(["x", "y"]);
  g.step({ x: { field: "x" }, y: { field: "y" }, mode: "before", source: B.gain, line_color: css("--disaggregated"), line_width: 2 });
  g.add_layout(span({ location: 1, dimension: "width", line_width: 1 }));
  g.add_layout(B.target2 = span({ dimension: "height", line_dash: [2, 4], line_width: 1.5 }));
  // Bottlenecks
  const s = figure("stack", { height: 300, x_range: B.range, y_range: new Bokeh.Range1d({ start: 0, end: 1 }), x_axis_label: label, y_axis_label: "share of the time" });
  for (const [n, q] of Object.entries(D.parts)) {
    B["stack_" + n] = S(["left", "right", "bottom", "top", "share", "what"]);
    s.quad({ left: { field: "left" }, right: { field: "right" }, bottom: { field: "bottom" }, top: { field: "top" }, source: B["stack_" + n], fill_color: q.colour, line_color: q.colour, line_width: 0.5, name: n });
  }
  s.add_tools(new Bokeh.HoverTool({ tooltips: [["", "@what"], ["share", "@share{0.0 %}"]] }));
  // Transfer
  const t = figure("transfer", { height: 240, x_range: B.range, x_axis_label: label, y_axis_label: D.link_bytes_per_s ? "of the link, %" : "GB/s" });
  B.transfer = S(["x", "out", "into"]);
  t.step({ x: { field: "x" }, y: { field: "out" }, mode: "before", source: B.transfer, line_color: css("--disaggregated"), line_width: 2, legend_label: "out of a prefill GPU" });
  t.step({ x: { field: "x" }, y: { field: "into" }, mode: "before", source: B.transfer, line_color: css("--colocated"), line_width: 2, line_dash: [8, 3], legend_label: "into a decode GPU" });
  if (D.link_bytes_per_s) t.add_layout(span({ location: 100, dimension: "width", line_width: 1.5, line_dash: [2, 3] }));
  legend(t, "top_right");
  // One document: the figures share their range.
  if (B.document) B.document.clear();
  B.document = new Bokeh.Document();
  const figures = (B.figures = { frontier: f, gain: g, stack: s, transfer: t });
  for (const fig of Object.values(figures)) B.document.add_root(fig);
  const places = Object.keys(figures).map((id) => $("plot-" + id));
  places.forEach((place) => place && place.replaceChildren());
  Bokeh.embed.add_document_standalone(B.document, document.body, places);
  let wait = 0;
  const moved = () => { clearTimeout(wait); wait = setTimeout(() => { if (B.fitting) return; const x = [B.range.start, B.range.end]; if (B.fit && Math.abs(x[0] - B.fit[0]) < 1e-6 && Math.abs(x[1] - B.fit[1]) < 1e-6 * x[1]) state.x = null; else state.x = x; writeHash(); }, 150); };
  B.range.properties.start.change.connect(moved); B.range.properties.end.change.connect(moved);
}
function renderCharts(d) {
  const HEAD = ["interactivity_tokens_per_s", "ttl_s", "ftl_s", "output_tokens_per_s_per_gpu", "low", "high", "gpus", "design"];
  charts.frontier = { head: ["curve", ...HEAD], rows: [], show: ["curve", "tokens/s a user", "TTL", "FTL", "tokens/s/GPU", "80 %", "GPUs", "design"], text: [] };
  let right = 0;
  for (const name of CURVES) {
    const curve = d.curves[name] || [], x = curve.map((k) => 1 / R.ttl_s[k]);
    right = Math.max(right, ...x);
    for (const [i, k] of curve.entries()) {
      charts.frontier.rows.push([name, x[i], R.ttl_s[k], R.ftl_s[k], R.y[k], R.low[k], R.high[k], R.gpus[k], deployment(k)]);
      charts.frontier.text.push([NAMES[name], plain(x[i]), seconds(R.ttl_s[k]), seconds(R.ftl_s[k]), whole(R.y[k]), `${whole(R.low[k])} – ${whole(R.high[k])}`, whole(R.gpus[k]), deployment(k)]);
    }
    if (!B[name]) continue;
    B[name].data = { x, y: curve.map((k) => R.y[k]), low: curve.map((k) => R.low[k]), high: curve.map((k) => R.high[k]), row: curve, what: curve.map(deployment), ttl: curve.map((k) => seconds(R.ttl_s[k])), band: curve.map((k) => `${whole(R.low[k])} – ${whole(R.high[k])}`) };
    const first = (column) => (curve.length ? [R[column][curve[0]], ...curve.map((k) => R[column][k])] : []);
    B[name + "_steps"].data = { x: curve.length ? [0, ...x] : [], y: first("y"), low: first("low"), high: first("high") };
  }
  // Gain, at every design of either curve.
  const xs = [...new Set([...(d.curves.disaggregated || []), ...(d.curves.colocated || [])].map((k) => 1 / R.ttl_s[k]))].sort((a, b) => a - b);
  const gains = xs.map((x) => [x, at(d.curves.disaggregated, x), at(d.curves.colocated, x)]).filter((r) => r[1] !== undefined && r[2] !== undefined).map(([x, p, q]) => [x, R.bound[p] / R.bound[q]]);
  charts.gain = { head: ["interactivity_tokens_per_s", "gain"], rows: gains, show: ["tokens/s a user", "disaggregated / co-located"], text: gains.map(([x, v]) => [plain(x), times(v)]) };
  // Bottlenecks along the frontier of the chosen pool.
  const curve = d.curves[state.stack === "colocated" ? "colocated" : "disaggregated"] || [], names = Object.keys(D.parts);
  const stack = Object.fromEntries(names.map((n) => [n, { left: [], right: [], bottom: [], top: [], share: [], what: [] }]));
  const rows = [];
  curve.forEach((k, i) => {
    const p = pools(k).find((one) => one.phase === state.stack), parts = names.map((n) => value(p, n)), total = parts.reduce((a, b) => a + b, 0);
    let from = 0;
    names.forEach((n, j) => { const q = stack[n], share = parts[j] / total; q.left.push(i ? 1 / R.ttl_s[curve[i - 1]] : 0); q.right.push(1 / R.ttl_s[k]); q.bottom.push(from); q.top.push(from += share); q.share.push(share); q.what.push(`${D.parts[n].title} of ${mapping(p)}, ${held(p)}`); });
    rows.push([1 / R.ttl_s[k], ...parts.map((v) => v / total)]);
  });
  charts.stack = { head: ["interactivity_tokens_per_s", ...names.map((n) => n.replace(/_s$/, "_share"))], rows, show: ["tokens/s a user", ...names.map((n) => D.parts[n].title)], text: rows.map((r) => [plain(r[0]), ...r.slice(1).map(percent)]) };
  const used = names.filter((n) => stack[n].share.some((v) => v > 0.001));
  $("stack-key").replaceChildren(...used.map((n) => { const e = element("span", D.parts[n].title), i = element("i", null); i.style.background = D.parts[n].colour; e.prepend(i); return e; }));
  // Transfer
  const flows = (d.curves.disaggregated || []).map((k) => [1 / R.ttl_s[k], ...facts(k).flows]);
  charts.transfer = { head: ["interactivity_tokens_per_s", "kv_egress_bytes_per_s_per_gpu", "kv_ingress_bytes_per_s_per_gpu", "link_bytes_per_s"], rows: flows.map((r) => [...r, D.link_bytes_per_s]), show: ["tokens/s a user", "out of a prefill GPU", "into a decode GPU"], text: flows.map((r) => [plain(r[0]), ...r.slice(1).map((v) => bytes(v, "B/s") + ofLink(v))]) };
  if (P) {
    B.gain.data = { x: gains.length ? [0, ...gains.map((r) => r[0])] : [], y: gains.length ? [gains[0][1], ...gains.map((r) => r[1])] : [] };
    for (const n of names) B["stack_" + n].data = stack[n];
    const scale = D.link_bytes_per_s ? 100 / D.link_bytes_per_s : 1e-9, ahead = (c) => (flows.length ? [flows[0][c] * scale, ...flows.map((r) => r[c] * scale)] : []);
    B.transfer.data = { x: flows.length ? [0, ...flows.map((r) => r[0])] : [], out: ahead(1), into: ahead(2) };
    const marks = [["A", state.a ?? d.found[0]], ["B", state.b ?? d.found[1]]].filter((m) => m[1] !== null);
    B.marks.data = { x: marks.map((m) => 1 / R.ttl_s[m[1]]), y: marks.map((m) => R.y[m[1]]), text: marks.map((m) => m[0]) };
    B.target.location = B.target2.location = 1 / state.ttl;
    B.fit = [0, 1.04 * (right || 1)];
    const x = state.x || B.fit;
    B.fitting = true; B.range.reset_start = B.fit[0]; B.range.reset_end = B.fit[1]; B.range.setv({ start: x[0], end: x[1] }); setTimeout(() => { B.fitting = false; }, 200);
  }
  for (const id of Object.keys(charts)) {
    const asTable = Boolean(state.tables[id]) || !P;
    $("plot-" + id).hidden = asTable; $("table-" + id).hidden = !asTable;
    const button = document.querySelector(`[data-table="${id}"]`);
    button.setAttribute("aria-pressed", asTable); button.textContent = asTable ? "Picture" : "Table";
    if (asTable) $("table-" + id).replaceChildren(table(charts[id].show, charts[id].text, id === "frontier" ? [0, 7] : [0]));
  }
}

function retint(paper) {
  for (const [model, property, name] of tints) model[property] = css("--" + name);
  for (const one of P ? B.marked.screen : []) one.visible = !paper;
  for (const one of P ? B.marked.paper : []) one.visible = paper;
}
/** BokehJS's canvases are blank on paper: copies of what they show, in light, made when it is printed, take their place. */
function toPaper() {
  document.documentElement.dataset.theme = "light";
  retint(true);
  for (const [id, fig] of Object.entries(P ? B.figures : {})) {
    const view = B.document.views_manager.get(fig), place = $("plot-" + id);
    if (!view || place.hidden) continue;
    view.invalidate_painters(); view.paint(); // now, not in the next frame
    for (const old of place.parentNode.querySelectorAll(".chart > canvas")) old.remove();
    const copy = view.export("png", true).canvas;
    copy.setAttribute("role", "img"); copy.setAttribute("aria-label", place.getAttribute("aria-label"));
    place.after(copy);
  }
  document.body.classList.toggle("pictured", document.querySelector(".chart > canvas") !== null);
}
function fromPaper() {
  document.body.classList.remove("pictured");
  for (const copy of document.querySelectorAll(".chart > canvas")) copy.remove();
  shade();
  retint(false);
}
const shade = () => { if (state.theme === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = state.theme; };

// ---- all of it, and what the reader does ----
const stops = () => [...new Set(R.ttl_s.filter((_, k) => R.kind[k] === 0 || R.kind[k] === 1))].sort((a, b) => a - b);
let derived;
function render() {
  derived = derive();
  const d = derived;
  $("recommendation").textContent = recommendation(d);
  $("verdict").textContent = verdict(d);
  $("targets").textContent = `FTL (TTFT) ≤ ${seconds(state.ftl)}, TTL (TPOT) ≤ ${seconds(state.ttl)}`;
  if (!untouched()) $("constraint").textContent = `FTL ≤ ${seconds(state.ftl)}${D.cap ? `, at most ${whole(D.cap)} GPUs` : ""}`;
  else $("constraint").textContent = D.own.constraint;
  document.body.classList.toggle("moved", !untouched());
  $("counts").textContent = `${whole(d.shown.length)} of ${whole(N)} deployments pass the filters; ${whole(d.meets.length)} of them meet the targets.`;
  $("ftl").value = [...$("ftl").options].find((o) => Number(o.value) === state.ftl) ? state.ftl : "";
  $("ttl").value = Math.log(state.ttl); $("ttl-ms").value = Number((1000 * state.ttl).toPrecision(5));
  for (const input of document.querySelectorAll("[data-axis]")) {
    const axis = AXES.find((a) => a.id === input.dataset.axis), chosen = state.filters[axis.id];
    if (input.type === "checkbox") input.checked = !chosen || chosen.includes(Number(input.value));
    else input.value = chosen ? chosen[input.dataset.end] : axis.values[input.dataset.end === "0" ? 0 : axis.values.length - 1];
  }
  $("stack").value = state.stack; $("theme").value = state.theme;
  renderFixed(d); renderCompare(d); renderCharts(d);
}
function writeHash() { const text = toHash(); history.replaceState(null, "", text ? "#" + text : location.pathname + location.search); }
function change(part) { Object.assign(state, part); writeHash(); render(); }
function themed() {
  shade();
  if (P) build();
}
function controls() {
  const options = [...new Set([...D.ftl_targets_s, own.ftl_s])].sort((a, b) => a - b);
  $("ftl").replaceChildren(...options.map((v) => element("option", seconds(v), { value: v })));
  const all = stops();
  Object.assign($("ttl"), { min: Math.log(all[0]), max: Math.log(Math.max(all[all.length - 1], own.ttl_s)), step: "any" });
  const groups = AXES.map((axis) => {
    const set = element("fieldset", null); set.append(element("legend", axis.label));
    if (axis.range) [0, 1].forEach((end) => { const i = element("input", null, { type: "number", "data-axis": axis.id, "data-end": end, "aria-label": `${axis.label}, ${end ? "at most" : "at least"}`, min: 0 }); set.append(i); });
    else for (const v of axis.values) { const l = element("label", " " + (axis.name === "mode" ? D.modes[v] : v)), i = element("input", null, { type: "checkbox", value: v, "data-axis": axis.id }); l.prepend(i); set.append(l); }
    return set;
  });
  $("filters").replaceChildren(...groups);
}
function filtered(input) {
  const axis = AXES.find((a) => a.id === input.dataset.axis), filters = { ...state.filters }, inputs = [...document.querySelectorAll(`[data-axis="${axis.id}"]`)];
  const chosen = axis.range ? inputs.map((i) => Number(i.value)) : inputs.filter((i) => i.checked).map((i) => Number(i.value));
  const ends = [axis.values[0], axis.values[axis.values.length - 1]];
  const all = axis.range ? chosen[0] <= ends[0] && chosen[1] >= ends[1] : chosen.length === axis.values.length;
  if (all) delete filters[axis.id]; else filters[axis.id] = chosen;
  change({ filters });
}
const PRESETS = {
  own: () => ({ ...start(), theme: state.theme }),
  fast: () => ({ ttl: own.ttl_s / 2 }),
  slow: () => ({ ttl: own.ttl_s * 2 }),
  first: () => ({ ftl: own.ftl_s / 2 }),
  small: () => ({ filters: { ...state.filters, gpus: [0, 64] } }),
  flat: () => { const f = { ...state.filters }; for (const a of AXES) if (a.name === "pp") f[a.id] = [1]; return { filters: f }; },
};
function listen() {
  $("ftl").addEventListener("change", (e) => change({ ftl: Number(e.target.value) }));
  $("ttl").addEventListener("input", (e) => { // the nearest token latency that some deployment has
    const ttl = Math.exp(Number(e.target.value)), all = [...stops(), own.ttl_s];
    change({ ttl: all.reduce((a, b) => (Math.abs(Math.log(b / ttl)) < Math.abs(Math.log(a / ttl)) ? b : a)) });
  });
  $("ttl-ms").addEventListener("change", (e) => { const v = Number(e.target.value) / 1000; if (v > 0) change({ ttl: v }); });
  $("filters").addEventListener("change", (e) => { if (e.target.dataset.axis) filtered(e.target); });
  $("stack").addEventListener("change", (e) => change({ stack: e.target.value }));
  $("theme").addEventListener("change", (e) => { state.theme = e.target.value; themed(); change({}); });
  $("keep").addEventListener("click", () => change({ b: state.a, a: null }));
  $("best").addEventListener("click", () => change({ a: null, b: null }));
  for (const b of document.querySelectorAll("[data-preset]")) b.addEventListener("click", () => change(PRESETS[b.dataset.preset]()));
  for (const b of document.querySelectorAll("[data-table]")) b.addEventListener("click", () => change({ tables: { ...state.tables, [b.dataset.table]: !state.tables[b.dataset.table] } }));
  for (const b of document.querySelectorAll("[data-csv]")) b.addEventListener("click", () => save(`${b.dataset.csv}.csv`, csv(charts[b.dataset.csv].head, charts[b.dataset.csv].rows)));
  $("plot-frontier").addEventListener("keydown", (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    e.preventDefault();
    const k = state.a ?? derived.chosen ?? 0, curve = derived.curves[kindOf(k)];
    let i = curve.indexOf(k);
    if (i < 0) i = curve.findIndex((j) => R.ttl_s[j] <= R.ttl_s[k]);
    change({ a: curve[Math.min(Math.max(i + step, 0), curve.length - 1)] });
  });
  window.addEventListener("hashchange", () => { const theme = state.theme; state = fromHash(); if (state.theme !== theme) themed(); render(); });
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", fromPaper);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (state.theme === "auto") { themed(); render(); } });
}
document.documentElement.classList.add("js");
controls();
state = fromHash();
themed();
listen();
render();
/** Another plan, or with `kept` more of the same: then the reader's targets and filters stay, but for
    the designs picked, whose rows are others. */
function replace(data, kept = false) {
  const linked = Boolean(D.link_bytes_per_s);
  load(data); findAxes(); controls();
  state = kept ? { ...fromHash(), a: null, b: null } : { ...start(), theme: state.theme, tables: state.tables };
  if (linked !== Boolean(D.link_bytes_per_s)) themed(); // other axes
  writeHash(); render();
}
/** For the live page, and tests: new data in place of what the page was made with. */
window.jaxsim = { change, state: () => state, derived: () => derived, deployment, charts, csv, replace };
})();

"use strict";
const runs = JSON.parse(document.getElementById("data").textContent);
const colours = ["var(--a)", "var(--b)"];
const $ = id => document.getElementById(id);
const esc = text => String(text).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const num = (value, digits) => value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits ?? (Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0) });
const label = run => `${run.name} ${run.size}${runs.length > 1 ? `, ${run.when}` : ""}`;

// Growing counters become what was added per unit, over windows long enough for a smooth line.
function rates(samples, value, per, least) {
  const out = [];
  let last = samples[0];
  for (const sample of samples.slice(1)) {
    const base = per(sample) - per(last);
    if (sample.t - last.t < least || base <= 0) continue;
    out.push([sample.t, (value(sample) - value(last)) / base]);
    last = sample;
  }
  return out;
}
const window_ = phase => Math.max(0.2, phase.wall / 60);
const time = sample => sample.t;
const MB = 1048576;
// Title, unit, points of a phase, and what the x axis counts where it is no time.
const metrics = [
  ["Memory", "MiB", phase => phase.process.map(s => [s.t, s.rss])],
  ["CPU", "%", phase => rates(phase.process, s => s.cpu * 100, time, window_(phase))],
  ["Open files", "", phase => phase.process.map(s => [s.t, s.files])],
  ["Docs read", "docs/s", phase => rates(phase.program, s => s.extracted, time, window_(phase))],
  ["Docs written", "docs/s", phase => rates(phase.server, s => s.docs + s.deletes, time, window_(phase))],
  ["Bulk latency", "ms", phase => phase.program.length ? rates(phase.program, s => s.bulk_millis, s => s.bulk_requests, window_(phase))
    : rates(phase.server, s => s.bulk_ms, s => s.bulks, window_(phase))],
  ["Queue", "MiB", phase => phase.program.map(s => [s.t, s.queued_bytes / MB])],
  ["Writing", "MiB/s", phase => rates(phase.process, s => s.written / MB, time, window_(phase))],
  ["Elasticsearch's CPU", "%", phase => phase.server.length && phase.server[0].cpu != null ? rates(phase.server, s => s.cpu * 100, time, window_(phase)) : []],
  ["Pages of the source", "ms", phase => phase.pages.map((page, n) => [n + 1, page.ms]), "page"],
];

function ticks(most) {
  const step = [1, 2, 5, 10].map(n => n * 10 ** Math.floor(Math.log10(most / 3))).find(n => most / n <= 4);
  const out = [];
  for (let value = 0; value <= most * 1.0001; value += step) out.push(value);
  return out;
}

function chart([title, unit, read, axis], phaseName) {
  const series = runs.map(run => {
    const phase = run.phases.find(one => one.name === phaseName);
    return phase ? read(phase).filter(([, y]) => Number.isFinite(y)) : [];
  });
  const all = series.flat();
  if (all.length < 2) return null;
  const W = 340, H = 150, L = 40, B = 18, xMost = Math.max(...all.map(p => p[0])) || 1, yMost = Math.max(...all.map(p => p[1])) * 1.08 || 1;
  const x = value => L + value / xMost * (W - L - 6), y = value => 6 + (1 - value / yMost) * (H - B - 6);
  const shape = points => points.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  const rules = ticks(yMost).map(v => `<line class="rule" x1="${L}" x2="${W}" y1="${y(v)}" y2="${y(v)}"/><text x="${L - 6}" y="${y(v) + 4}" text-anchor="end">${num(v)}</text>`).join("");
  const marks = ticks(xMost).map(v => `<text x="${x(v)}" y="${H - 3}" text-anchor="middle">${num(v)}${axis ? "" : " s"}</text>`).join("");
  const lines = series.map((points, n) => !points.length ? "" :
    `${runs.length < 2 ? `<path class="area" fill="${colours[n]}" d="${shape(points)}L${x(points.at(-1)[0])} ${y(0)}L${x(points[0][0])} ${y(0)}Z"/>` : ""}
     <path fill="none" stroke="${colours[n]}" stroke-width="1.8" stroke-linejoin="round" d="${shape(points)}"/>`).join("");
  const card = document.createElement("div");
  card.className = "card";
  card.innerHTML = `<div class="head"><b>${esc(title)}</b><span class="dim value"></span></div>
    <svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${esc(title)}">${rules}${marks}${lines}<line class="mark" y1="6" y2="${H - B}" visibility="hidden"/></svg>`;
  const svg = card.querySelector("svg"), mark = card.querySelector(".mark"), value = card.querySelector(".value");
  const peak = () => { value.textContent = series.map(points => points.length ? num(Math.max(...points.map(p => p[1]))) : "–").join(" | ").replace(/^/, "peak ") + ` ${unit}`; };
  svg.onpointermove = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const wanted = (at.x - L) / (W - L - 6) * xMost;
    const near = series.map(points => points.reduce((best, p) => !best || Math.abs(p[0] - wanted) < Math.abs(best[0] - wanted) ? p : best, null));
    const first = near.find(Boolean);
    for (const key of ["x1", "x2"]) mark.setAttribute(key, x(first[0]));
    mark.setAttribute("visibility", "visible");
    value.textContent = `${axis ? `${axis} ` : ""}${num(first[0])}${axis ? "" : " s"}: ${near.map(p => p ? num(p[1]) : "–").join(" | ")} ${unit}`;
  };
  svg.onpointerleave = () => { mark.setAttribute("visibility", "hidden"); peak(); };
  peak();
  return card;
}

function show(phaseName) {
  $("charts").replaceChildren(...metrics.map(metric => chart(metric, phaseName)).filter(Boolean));
  if (!$("charts").children.length) $("charts").innerHTML = '<div class="card dim">This sync was over before two samples were taken.</div>';
  for (const button of $("phases").children) button.setAttribute("aria-pressed", button.textContent === phaseName);
}

const perSecond = phase => (phase.report.extracted_document_count ?? phase.report.indexed_document_count) / phase.wall;
const rows = [
  ["wall", "s", p => p.wall, 2], ["CPU", "s", p => p.cpu, 2], ["peak memory", "MiB", p => p.rss, 0], ["peak open files", "", p => p.files, 0],
  ["documents read", "", p => p.report.extracted_document_count, 0], ["written", "", p => p.report.indexed_document_count, 0],
  ["unchanged", "", p => p.report.unchanged_document_count, 0], ["deleted", "", p => p.report.deleted_document_count, 0],
  ["docs/s", "", perSecond, 0], ["documents verified", "", p => p.documents, 0], ["fields verified", "", p => p.fields, 0],
];

function page() {
  const names = [...new Set(runs.flatMap(run => run.phases.map(phase => phase.name)))];
  document.title = $("title").textContent = runs.map(label).join("  |  ");
  $("sub").innerHTML = runs.length > 1 ? `<span class="legend">${runs.map((run, n) => `<i style="background:${colours[n]}"></i>${"AB"[n]}: ${esc(label(run))}`).join("")}</span>`
    : `${esc(runs[0].when)} · <span class="${runs[0].problem ? "bad" : "ok"}">${runs[0].problem ? "failed" : "every document as expected"}</span>`;
  $("problems").innerHTML = runs.map((run, n) => run.problem ? `<p class="bad">${runs.length > 1 ? `${"AB"[n]}: ` : ""}${esc(run.problem)}</p>` : "").join("");
  const first = runs.map(run => run.phases[0]), again = runs.map(run => run.phases.find(phase => phase.name === "unchanged"));
  const tiles = [["documents", first, p => p.documents, "", 0], ["first sync", first, p => p.wall, " s"], ["docs/s, first sync", first, perSecond, "", 0],
    ["CPU, first sync", first, p => p.cpu, " s"], ["peak memory", first, p => p.rss, " MiB", 0], ["unchanged sync", again, p => p.wall, " s"]];
  $("tiles").innerHTML = tiles.map(([name, phases, read, unit, digits]) => `<div class="card"><span class="dim">${name}</span>${phases.map((phase, n) =>
    `<b class="${n ? "second" : ""}">${phase ? num(read(phase), digits) + unit : "–"}</b>`).join("")}</div>`).join("");
  $("phases").replaceChildren(...names.map(name => Object.assign(document.createElement("button"), { textContent: name, onclick: () => show(name) })));
  const cells = name => runs.map(run => run.phases.find(phase => phase.name === name));
  const ratio = values => values.length > 1 && values[0] && values[1] != null ? ` <span class="dim">×${num(values[1] / values[0], 2)}</span>` : "";
  $("table").innerHTML = `<tr><th></th>${names.map(name => `<th>${name}</th>`).join("")}</tr>` + rows.map(([name, unit, read, digits]) =>
    `<tr><td>${name}${unit ? ` <span class="dim">${unit}</span>` : ""}</td>${names.map(phase => {
      const values = cells(phase).map(one => one && read(one));
      return `<td>${values.map((value, n) => `<span ${n ? 'style="color:var(--b)"' : ""}>${num(value, digits)}</span>`).join(" | ")}${ratio(values)}</td>`;
    }).join("")}</tr>`).join("");
  const facts = [...new Set(runs.flatMap(run => Object.keys(run.facts)))];
  $("facts").innerHTML = facts.map(key => `<tr><td>${esc(key)}</td>${runs.map(run => `<td class="text">${esc(run.facts[key] ?? "–")}</td>`).join("")}</tr>`).join("");
  $("raw").href = URL.createObjectURL(new Blob([JSON.stringify(runs)], { type: "application/json" }));
  $("raw").download = "samples.json";
  show(names[0]);
}
page();

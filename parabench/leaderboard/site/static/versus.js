// Two entries head to head: the clustered paired t test of parabench.leaderboard.ranking, from published per-pair scores.
"use strict";
(() => {
  const form = document.getElementById("choose"), outcome = document.getElementById("outcome"), trouble = document.getElementById("trouble");
  const SVG = "http://www.w3.org/2000/svg";

  // ln Γ by Lanczos' approximation (g = 7, nine terms): relative error below 1e-13.
  const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  function logGamma(z) {
    if (z < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * z)) - logGamma(1 - z);
    let sum = LANCZOS[0];
    for (let i = 1; i < 9; i += 1) sum += LANCZOS[i] / (z - 1 + i);
    const t = z + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (z - 0.5) * Math.log(t) - t + Math.log(sum);
  }

  // Regularised incomplete beta function by its continued fraction (modified Lentz).
  function incompleteBeta(x, a, b) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
    let f = 1, c = 1, d = 0;
    for (let i = 0; i <= 500; i += 1) {
      const m = i >> 1;
      const term = i === 0 ? 1 : i % 2 ? (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)) : (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + term * d || 1e-300);
      c = 1 + term / c || 1e-300;
      f *= c * d;
      if (Math.abs(1 - c * d) < 1e-15) break;
    }
    return Math.max(0, front * (f - 1));
  }

  const twoSided = (t, freedom) => (t === Infinity ? 0 : incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5));
  function quantile(level, freedom) {  // of |t|: the t that two-sided p = 1 − level belongs to, by bisection
    let low = 0, high = 1e4;
    for (let i = 0; i < 200; i += 1) {
      const middle = (low + high) / 2;
      if (twoSided(middle, freedom) > 1 - level) low = middle; else high = middle;
    }
    return (low + high) / 2;
  }

  function pairedTest(a, b, clusters) {
    const n = a.length, totals = new Map();
    let mean = 0;
    for (let i = 0; i < n; i += 1) mean += (a[i] - b[i]) / n;
    for (let i = 0; i < n; i += 1) totals.set(clusters[i], (totals.get(clusters[i]) ?? 0) + (a[i] - b[i] - mean));
    const count = totals.size;
    let squares = 0;
    for (const total of totals.values()) squares += total * total;
    const error = Math.sqrt((squares * count) / (count - 1)) / n;
    const same = Math.abs(mean) < 1e-12;
    const t = error > 0 && squares > 1e-20 ? Math.abs(mean) / error : same ? 0 : Infinity;
    const reach = quantile(0.95, count - 1) * error;
    return { difference: mean, ci_low: mean - reach, ci_high: mean + reach, p: Math.min(1, t === 0 ? 1 : twoSided(t, count - 1)), n, clusters: count };
  }

  // What an entry scores on every item of a metric: a pair, or a caption for R@10.
  function items(unit, bytes, metric) {
    const pairs = unit.pictures.length, told = new Uint16Array(3 * pairs), view = new DataView(bytes);
    for (let i = 0; i < told.length; i += 1) told[i] = view.getUint16(2 * i, true);
    const ao = told.subarray(0, pairs), caption = told.subarray(pairs, 2 * pairs), paraphrase = told.subarray(2 * pairs);
    const of = {
      "AO@10": (i) => ao[i] / unit.ao_scale, "both@10": (i) => +(caption[i] <= 10 && paraphrase[i] <= 10), "R@10": (i) => +(caption[i] <= 10),
      "R@10 paraphrase": (i) => +(paraphrase[i] <= 10), "flip@10": (i) => +((caption[i] <= 10) !== (paraphrase[i] <= 10)),
    }[metric];
    const rows = metric === "R@10" ? unit.first : Array.from({ length: pairs }, (_, i) => i);
    return { values: rows.map(of), clusters: rows.map((i) => unit.pictures[i]) };
  }

  const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
  const number = (x) => (x.toFixed(3) === "-0.000" ? ".000" : Math.abs(x) < 1 ? x.toFixed(3).replace("0.", ".") : x.toFixed(3));
  const signed = (x) => (x > 0 ? "+" : "") + number(x);
  const element = (name, text, attributes = {}) => { const made = document.createElement(name); made.textContent = text; for (const [key, held] of Object.entries(attributes)) made.setAttribute(key, held); return made; };
  const drawn = (name, attributes) => { const made = document.createElementNS(SVG, name); for (const [key, held] of Object.entries(attributes)) made.setAttribute(key, held); return made; };

  function chart(width, height, label) { return drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }); }
  function text(svg, x, y, words, anchor = "middle", kind = "label") { const made = drawn("text", { x, y, class: kind, "text-anchor": anchor }); made.textContent = words; svg.append(made); }

  function drawDifference(test) {
    const reach = Math.max(0.02, Math.abs(test.ci_low), Math.abs(test.ci_high)) * 1.15, at = (x) => 12 + (436 * (x + reach)) / (2 * reach);
    const svg = chart(460, 78, `Difference ${signed(test.difference)}, from ${signed(test.ci_low)} to ${signed(test.ci_high)}`);
    svg.append(drawn("path", { class: "grid", d: "M12 34H448" }), drawn("path", { class: "overall", d: `M${at(0)} 10V56` }));
    svg.append(drawn("path", { class: "ci wide", d: `M${at(test.ci_low)} 34H${at(test.ci_high)}` }), drawn("circle", { class: "dot", cx: at(test.difference), cy: 34, r: 7 }));
    text(svg, 12, 72, "← B is better", "start");
    text(svg, at(0), 72, "no difference");
    text(svg, 448, 72, "A is better →", "end");
    return svg;
  }

  function drawHistogram(differences) {
    const bins = new Array(21).fill(0);
    for (const x of differences) bins[Math.min(20, Math.floor((x + 1) * 10.5))] += 1;
    const most = Math.max(...bins), svg = chart(460, 220, "Histogram of A minus B over the items"), height = (n) => (170 * Math.log1p(n)) / Math.log1p(most);
    bins.forEach((n, i) => { if (n) { const bar = drawn("rect", { class: i > 10 ? "plus" : i < 10 ? "minus" : "zero", x: 14 + i * 20.6, y: 184 - height(n), width: 18.6, height: height(n) }), title = drawn("title", {}); title.textContent = `${n} items around ${number((i - 10) / 10.5)}`; bar.append(title); svg.append(bar); } });
    svg.append(drawn("path", { class: "overall", d: "M229.6 6V184" }));
    for (const x of [-1, -0.5, 0, 0.5, 1]) text(svg, 229.6 + x * 206, 202, `${x}`);
    return svg;
  }

  function drawCells(a, b, names) {
    const cells = [[0, 0], [0, 0]], table = document.getElementById("cells");
    a.forEach((x, i) => { cells[1 - x][1 - b[i]] += 1; });
    const head = element("tr", ""), body = document.createElement("tbody");
    head.append(element("td", ""), element("th", `${names[1]} does`, { scope: "col" }), element("th", `${names[1]} doesn't`, { scope: "col" }));
    cells.forEach((row, place) => { const line = element("tr", ""); line.append(element("th", `${names[0]} ${place ? "doesn't" : "does"}`, { scope: "row", class: "words" }), ...row.map((n) => element("td", `${n.toLocaleString("en")} (${((100 * n) / a.length).toFixed(1)} %)`))); body.append(line); });
    const top = document.createElement("thead");
    top.append(head);
    table.replaceChildren(top, body);
  }

  const held = new Map();
  async function load(path, kind) {
    if (!held.has(path)) {
      const answer = await fetch(path);
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      held.set(path, await answer[kind]());
    }
    return held.get(path);
  }

  let turn = 0;
  async function show(wanted = {}) {
    const mine = (turn += 1), read = (key) => wanted[key] ?? form.elements[key].value;
    try {
      const unit = await load(`data/${encodeURIComponent(read("dataset"))}.json`, "json");
      for (const [place, key] of ["a", "b"].entries()) {
        const chosen = read(key), known = unit.entries.some((entry) => entry.id === chosen);
        form.elements[key].replaceChildren(...unit.entries.map((entry) => element("option", `${entry.name} (${entry.track})`, { value: entry.id })));
        form.elements[key].value = known ? chosen : unit.entries[Math.min(place, unit.entries.length - 1)].id;
      }
      const ids = ["a", "b"].map((key) => form.elements[key].value), metric = form.elements.metric.value;
      const bytes = await Promise.all(ids.map((id) => load(`data/pairs/${encodeURIComponent(id)}.bin`, "arrayBuffer")));
      if (mine !== turn) return;  // another choice was made meanwhile
      const [a, b] = bytes.map((own) => items(unit, own, metric)), test = pairedTest(a.values, b.values, a.clusters);
      const names = ids.map((id) => unit.entries.find((entry) => entry.id === id).name), lower = metric === "flip@10";
      const clear = test.p < 0.05 && ids[0] !== ids[1];
      document.getElementById("verdict").textContent = clear
        ? `${names[(test.difference > 0) === lower ? 1 : 0]} is better by ${metric}`
        : `No difference is shown by ${metric}`;
      const drawing = lower ? { ...test, difference: -test.difference, ci_low: -test.ci_high, ci_high: -test.ci_low } : test;
      document.getElementById("difference").replaceChildren(drawDifference(drawing));
      const facts = [["A", `${names[0]}: ${number(mean(a.values))}`], ["B", `${names[1]}: ${number(mean(b.values))}`], ["A − B", `${signed(test.difference)}, 95 % interval ${signed(test.ci_low)} to ${signed(test.ci_high)}`], ["p", test.p < 1e-6 ? test.p.toExponential(2) : test.p.toFixed(6)], ["items", `${test.n.toLocaleString("en")} ${metric === "R@10" ? "captions" : "pairs"} of ${test.clusters.toLocaleString("en")} pictures, ${unit.dataset}`]];
      document.getElementById("facts").replaceChildren(...facts.flatMap(([term, words]) => [element("dt", term), element("dd", words)]));
      document.getElementById("histogram").replaceChildren(drawHistogram(a.values.map((x, i) => x - b.values[i])));
      document.getElementById("histogram-text").textContent = "A minus B; the heights are logarithmic. Where most items lie at zero, a mean is made by few.";
      const [first, second] = bytes.map((own) => items(unit, own, "both@10").values);
      drawCells(first, second, names);
      outcome.hidden = false;
      trouble.hidden = true;
      window.headToHead = test;
      document.title = `${names[0]} against ${names[1]} · parabench leaderboard`;
      history.replaceState(null, "", `?${new URLSearchParams({ dataset: form.elements.dataset.value, a: ids[0], b: ids[1], metric })}`);
    } catch (error) {
      outcome.hidden = true;
      trouble.hidden = false;
      trouble.textContent = location.protocol === "file:"
        ? "A page opened as a file can't read the scores beside it. Look at the site with: parabench leaderboard serve"
        : `The scores can't be loaded (${error.message}).`;
    }
  }

  function fromLink() {
    const query = new URLSearchParams(location.search), wanted = {};
    for (const key of ["dataset", "metric"]) { const options = [...form.elements[key].options].map((option) => option.value); if (options.includes(query.get(key))) form.elements[key].value = query.get(key); }
    for (const key of ["a", "b"]) if (query.get(key)) wanted[key] = query.get(key);
    show(wanted);
  }

  form.addEventListener("change", () => show());
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("swap").addEventListener("click", () => show({ a: form.elements.b.value, b: form.elements.a.value }));
  addEventListener("popstate", fromLink);
  form.hidden = false;
  fromLink();
})();

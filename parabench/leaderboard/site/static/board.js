// The table: sorting, filters, search, permalinks, exports of the view.  Without this file it is a plain table.
"use strict";
(() => {
  const table = document.getElementById("table"), form = document.getElementById("controls");
  const status = document.getElementById("status"), bodies = [...table.tBodies];
  const metrics = ["both@10", "AO@10", "R@10", "R@10 paraphrase"], low = new Set(["flip@10", "name", "training", "rank"]);
  const fields = ["q", "track", "type", "size", "training", "kind"];
  const state = { dataset: bodies[0].dataset.board, sort: "both@10", dir: "desc" };
  const heads = [...table.tHead.rows[0].cells], aoPlace = heads.findIndex((head) => head.dataset.c === "AO@10");
  const all = bodies.map((body) => ({ body, rows: [...body.rows].filter((row) => row.dataset.n).map(read), people: body.querySelector(".people") }));

  function read(row) {
    const link = row.cells[1].querySelector("a"), tags = [...row.cells[1].querySelectorAll("i")].map((tag) => tag.textContent);
    const values = { name: link.textContent.toLowerCase(), params: row.dataset.n === "?" ? null : +row.dataset.n };
    heads.forEach((head, place) => { const own = row.cells[place].dataset.v; if (!(head.dataset.c in values)) values[head.dataset.c] = own === undefined ? null : +own; });
    values.date = row.cells[row.cells.length - 1].textContent;
    const training = row.querySelector(".t").textContent.trim(), kinds = new Map();
    values.training = training.toLowerCase();
    for (const part of row.dataset.k.split("|").filter(Boolean)) {
      const at = part.lastIndexOf("="), [value, below, above] = part.slice(at + 1).split(",").map((text) => (text === "" ? null : +text));
      kinds.set(part.slice(0, at), [value, below, above]);
    }
    return {
      row, values, reference: row.classList.contains("ref"), training, ranks: row.dataset.r.split("|"), kinds, track: tags[0], type: tags[1], name: link.textContent,
      text: `${row.textContent} ${row.dataset.s}`.toLowerCase(), cell: row.cells[aoPlace], ao: row.cells[aoPlace].cloneNode(true),
    };
  }

  const dot = (x) => (Math.abs(x) < 1 ? x.toFixed(3).replace("0.", ".") : x.toFixed(3));
  const value = (entry, key) => {
    if (key === "AO@10" && state.kind) return entry.kinds.get(state.kind)?.[0] ?? null;
    if (key === "rank") return entry.reference ? null : parseInt(entry.ranks[rankBy()], 10);
    return entry.values[key];
  };
  const rankBy = () => Math.max(0, metrics.indexOf(state.sort === "rank" ? "both@10" : state.sort));

  function fits(parameters) {
    if (state.size === "?" || parameters === null) return state.size === "?" && parameters === null;
    const [low, high] = state.size.split("-").map(Number);
    return low <= parameters && parameters < high;
  }

  function passes(entry) {
    if (state.q && !state.q.toLowerCase().split(/\s+/).every((word) => entry.text.includes(word))) return false;
    if (state.track && entry.track !== state.track) return false;
    if (state.type && entry.type !== state.type) return false;
    if (state.size && !fits(entry.values.params)) return false;
    if (state.training === "!clean") return entry.row.dataset.test === undefined;
    return !state.training || entry.training.includes(state.training);
  }

  function drawKind(entry) {
    const { cell } = entry, own = entry.kinds.get(state.kind);
    if (!state.kind) { cell.replaceChildren(...entry.ao.cloneNode(true).childNodes); return; }
    cell.replaceChildren();
    if (!own) { cell.textContent = "–"; return; }
    const svg = entry.ao.querySelector("svg").cloneNode(true), [interval, mark] = svg.querySelectorAll("rect"), at = own.map((x) => 100 * Math.min(1, Math.max(0, x ?? own[0])));
    interval.setAttribute("x", `${at[1]}%`);
    interval.setAttribute("width", `${Math.max(at[2] - at[1], 0.6)}%`);
    mark.setAttribute("x", `${at[0]}%`);
    const strong = document.createElement("b"), small = document.createElement("small");
    strong.textContent = dot(own[0]);
    small.textContent = own[1] === null ? "" : `[${dot(own[1])}, ${dot(own[2])}]`;
    cell.append(strong, svg, small);
  }

  // A browser lays out a hundred rows in a few frames and a thousand in a second: the first are shown at once, the others
  // some at a time, below what a reader can see.
  const chunk = 100;
  let late = [], timer = 0;
  const next = () => { timer = setTimeout(reveal, 40); };  // after the browser has painted what there is
  function reveal() {
    for (const row of late.splice(0, chunk)) row.hidden = false;
    if (late.length) next();
  }

  let drawn = "";
  function show() {
    clearTimeout(timer);
    late = [];
    const sign = state.dir === "asc" ? 1 : -1;
    let shown = 0, total = 0;
    for (const { body, rows, people } of all) {
      body.hidden = body.dataset.board !== state.dataset;
      if (body.hidden) continue;
      total = rows.filter((entry) => !entry.reference).length;
      const sorted = rows.slice().sort((a, b) => {
        const x = value(a, state.sort), y = value(b, state.sort);
        if (x === null || y === null) return (x === null) - (y === null);
        return x < y ? -sign : x > y ? sign : 0;
      });
      for (const entry of sorted) {
        const visible = entry.reference || passes(entry);
        entry.visible = visible;
        if (visible && !entry.reference) shown += 1;
        const later = visible && drawn && shown > chunk;
        if (later) late.push(entry.row);
        entry.row.hidden = !visible || later;
        entry.row.cells[0].textContent = state.kind && rankBy() === 1 && !entry.reference ? "–" : entry.ranks[rankBy()];
        if (drawn !== `${state.dataset} ${state.kind}`) drawKind(entry);
      }
      body.append(...sorted.map((entry) => entry.row), people);
    }
    drawn = `${state.dataset} ${state.kind}`;
    if (late.length) next();
    for (const plot of document.querySelectorAll(".plot")) plot.hidden = plot.dataset.board !== state.dataset;
    for (const head of heads) {
      if (head.dataset.c === state.sort) head.setAttribute("aria-sort", state.dir === "asc" ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    const by = metrics[rankBy()];
    status.textContent = `${shown} of ${total} entries shown, and the references; ranks by ${by}` + (state.kind ? `; AO@10 of ${state.kind} pairs only` : "") + ".";
  }

  function remember() {
    const query = new URLSearchParams();
    for (const key of ["dataset", "sort", "dir", ...fields]) if (state[key] && state[key] !== initial[key]) query.set(key, state[key]);
    const text = query.toString();
    history.replaceState(null, "", text ? `?${text}${location.hash}` : `${location.pathname}${location.hash}`);
  }

  function fromLink() {
    const query = new URLSearchParams(location.search);
    for (const key of ["dataset", "sort", "dir", ...fields]) state[key] = query.get(key) ?? initial[key] ?? "";
    if (!bodies.some((body) => body.dataset.board === state.dataset)) state.dataset = initial.dataset;
    if (!heads.some((head) => head.dataset.c === state.sort)) state.sort = initial.sort;
    if (state.dir !== "asc") state.dir = "desc";
    for (const radio of form.elements.dataset.length ? form.elements.dataset : [form.elements.dataset]) radio.checked = radio.value === state.dataset;
    for (const key of fields) {
      const input = form.elements[key];
      input.value = state[key];
      if (input.value !== state[key]) { state[key] = ""; input.value = ""; }  // a link to a filter that is gone
    }
    show();
  }

  function update() {
    state.dataset = new FormData(form).get("dataset");
    for (const key of fields) state[key] = form.elements[key].value;
    show();
    remember();
  }

  for (const head of heads) {
    const button = document.createElement("button"), key = head.dataset.c;
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      const first = low.has(key) ? "asc" : "desc";
      state.dir = state.sort === key ? (state.dir === "asc" ? "desc" : "asc") : first;
      state.sort = key;
      show();
      remember();
    });
    head.replaceChildren(button);
  }

  function view() {
    const { rows } = all.find(({ body }) => !body.hidden), columns = heads.map((head) => head.dataset.c);
    const order = [...rows].filter((entry) => entry.visible).sort((a, b) => a.row.rowIndex - b.row.rowIndex);
    return order.map((entry) => {
      const told = {};
      for (const key of columns) told[key] = key === "rank" ? entry.row.cells[0].textContent : key === "name" ? entry.name : key === "training" ? entry.training : value(entry, key);
      return { dataset: state.dataset, track: entry.track, ...told };
    });
  }

  const plain = (text) => (/^[=+\-@\t]/.test(text) ? `'${text}` : text);
  const quoted = (x) => { const text = typeof x === "string" ? plain(x) : `${x ?? ""}`; return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--" };
  const tex = (text) => `${text}`.replace(/[\\~^–&%$#_{}]/g, (char) => special[char] ?? `\\${char}`);
  const formats = {
    CSV: (rows) => [Object.keys(rows[0]), ...rows.map(Object.values)].map((line) => line.map(quoted).join(",")).join("\n") + "\n",
    JSON: (rows) => JSON.stringify(rows, null, 1) + "\n",
    LaTeX: (rows) => {
      const keys = ["rank", "name", ...metrics, "flip@10"];
      const body = rows.map((row) => keys.map((key) => (typeof row[key] === "number" ? dot(row[key]) : tex(row[key] ?? "--"))).join(" & ") + " \\\\");
      return ["\\begin{tabular}{rl" + "r".repeat(keys.length - 2) + "}", "\\toprule", keys.map(tex).join(" & ") + " \\\\", "\\midrule", ...body, "\\bottomrule", "\\end{tabular}", ""].join("\n");
    },
  };
  const exports = document.getElementById("exports");
  exports.append(Object.assign(document.createElement("span"), { className: "soft small", textContent: " this view " }));
  for (const [name, write] of Object.entries(formats)) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => {
      const rows = view();
      if (!rows.length) return;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([write(rows)], { type: "text/plain" }));
      link.download = `leaderboard-${state.dataset}.${{ CSV: "csv", JSON: "json", LaTeX: "tex" }[name]}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    exports.append(button);
  }

  const initial = { ...state };
  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 60); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {  // the dataset stays, all else goes
    event.preventDefault();
    for (const key of fields) form.elements[key].value = "";
    Object.assign(state, { sort: initial.sort, dir: initial.dir });
    update();
  });
  addEventListener("popstate", fromLink);
  form.hidden = false;
  document.documentElement.classList.add("live");
  fromLink();
})();

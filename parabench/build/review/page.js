"use strict";
// One candidate at a time. Sentences reach the page as JSON and are set as text, never as markup.

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name=${name}]`).content;
const QUESTION = {
  paraphrase: "Does the paraphrase say the same as the caption, in good English?",
  foil: "Is the foil a small change that makes the caption false?",
};
const NAME = "parabench-review:annotator";
const draftKey = () => `parabench-review:draft:${who}:${item.pair_id}`;

let who = new URLSearchParams(location.search).get("annotator") || meta("annotator") || localStorage.getItem(NAME) || "";
let item = null;
let first = null;
let busy = false;

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { "X-Parabench-Token": meta("token"), ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error || answer.statusText);
  return said;
}

async function go(work, message) {
  if (busy) return false;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    const answer = await work();
    $("problem").hidden = true;
    show(answer);
    if (message) say(message);
    return true;
  } catch (error) {
    const lost = error instanceof TypeError;
    $("problem").textContent = lost ? "The server does not answer. Start it again, then load this page again; a half-written fix is kept." : error.message;
    $("problem").hidden = false;
    return false;
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

const open_ = (pairId) => go(() => ask(`/api/item?annotator=${encodeURIComponent(who)}` + (pairId ? `&pair_id=${encodeURIComponent(pairId)}` : "")));

function judge(decision, reason = "", text = "") {
  const { pair_id, sentence } = item;
  const done = { accept: "Accepted", fix: "Fixed", reject: `Rejected: ${reason}` }[decision];
  const draft = draftKey();
  return go(async () => {
    const answer = await ask("/api/verdict", { annotator: who, pair_id, decision, reason, text, sentence });
    localStorage.removeItem(draft);
    return answer;
  }, done);
}

const undo = () => go(() => ask("/api/undo", { annotator: who }), "Undone");

function show(answer) {
  const finished = answer.item === null;
  item = answer.item;
  first = answer.first;
  closePanel();
  $("bar").max = Math.max(1, answer.total);
  $("bar").value = answer.done;
  $("count").textContent = `${answer.done.toLocaleString("en")} of ${answer.total.toLocaleString("en")}`;
  $("who").textContent = who;
  $("work").hidden = $("actions").hidden = finished;
  $("finished").hidden = !finished;
  $("agreement").textContent = answer.agreement;
  history.replaceState(null, "", finished ? location.pathname + location.search : "#" + encodeURIComponent(item.pair_id));
  if (finished) return;
  $("question").textContent = QUESTION[item.role];
  $("picture").replaceChildren(picture());
  $("texts").replaceChildren(...item.texts.map(card));
  $("previous").disabled = item.previous === null;
  $("next").disabled = item.next === null;
  $("verdict").hidden = item.verdict === null;
  if (item.verdict) {
    const { decision, reason, text } = item.verdict;
    const past = { accept: "accepted", fix: "fixed", reject: "rejected" }[decision];
    $("verdict").textContent = `You ${past} this` + (reason ? `: ${reason}` : "") + (text ? ` → ${text}` : "") + ". A new verdict replaces it.";
    $("verdict").className = decision;
  }
  const facts = { picture: item.image_id, id: item.pair_id, kind: item.kind, writer: item.generator, objects: item.labels.join(", "), ...item.scores };
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => {
    const row = element("div", "");
    row.append(element("dt", name), element("dd", String(value)));
    return row;
  }));
  if (localStorage.getItem(draftKey()) !== null) openPanel("fix");
  else $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function picture() {
  const missing = () => element("div", `No picture here for image ${item.image_id}`, "missing");
  if (!item.picture) return missing();
  const image = new Image();
  image.src = "/image/" + item.image_id.split("/").map(encodeURIComponent).join("/");
  image.alt = `Picture ${item.image_id}`;
  image.addEventListener("error", () => $("picture").replaceChildren(missing()));
  return image;
}

function card(text) {
  const box = element("article", "", text.role + (text.judged ? " judged" : ""));
  const title = element("h2", text.role);
  if (text.judged) title.append(element("span", item.kind === text.role ? "under review" : `${item.kind} · under review`));
  const sentence = element("p", "", "sentence");
  sentence.dir = "auto";
  sentence.append(...text.pieces.map(([piece, changed]) => changed ? element("mark", piece) : document.createTextNode(piece)));
  box.append(title, sentence);
  if (text.hidden.length) box.append(element("p", `Holds invisible characters: ${text.hidden.join(" ")}`, "note"));
  return box;
}

function openPanel(which) {
  $("panel").hidden = false;
  $("fix").hidden = which !== "fix";
  $("reject").hidden = which !== "reject";
  if (which === "fix") {
    $("fixed").value = localStorage.getItem(draftKey()) ?? (item.verdict?.text || item.sentence);
    $("why").value = "";
    $("whys").replaceChildren(...item.reasons.map((reason) => { const option = document.createElement("option"); option.value = reason; return option; }));
    $("fixed").focus();
    $("fixed").setSelectionRange($("fixed").value.length, $("fixed").value.length);
  } else {
    $("other").value = "";
    $("reasons").replaceChildren(...item.reasons.map((reason, at) => {
      const button = element("button", "", "reason");
      button.type = "button";
      button.append(element("kbd", String(at + 1)), document.createTextNode(" " + reason));
      button.addEventListener("click", () => judge("reject", reason));
      return button;
    }));
    $("reasons").firstChild.focus();
  }
  $("panel").scrollIntoView({ block: "nearest" });
}

function closePanel() {
  $("panel").hidden = $("fix").hidden = $("reject").hidden = true;
}

function cancel() {
  localStorage.removeItem(draftKey());
  closePanel();
  $("main").focus();
}

let fading;
function say(message) {
  $("said").textContent = message;
  $("said").classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => $("said").classList.remove("shown"), 2500);
}

function askName() {
  $("annotator").value = who;
  $("name").showModal();
}

function move(pairId) {
  if (pairId) open_(pairId);
}

const KEYS = {
  a: () => judge("accept"),
  f: () => openPanel("fix"),
  r: () => openPanel("reject"),
  u: undo,
  n: () => open_(),
  ArrowLeft: () => move(item.previous),
  ArrowRight: () => move(item.next),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input, textarea");
  if (event.key === "Escape" && !$("panel").hidden) {
    event.preventDefault();
    cancel();
  } else if (typing) {
    if (event.key === "Enter" && !event.shiftKey && event.target === $("fixed")) {
      event.preventDefault();
      $("fix").requestSubmit();
    }
  } else if (event.key === "?") {
    event.preventDefault();
    $("keys").showModal();
  } else if (!$("reject").hidden && /^[1-9]$/.test(event.key)) {
    event.preventDefault();
    const reason = item.reasons[Number(event.key) - 1];
    if (reason) judge("reject", reason);
  } else if (item === null ? event.key === "u" : event.key in KEYS && !event.repeat) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

$("fix").addEventListener("submit", (event) => {
  event.preventDefault();
  judge("fix", $("why").value, $("fixed").value);
});
$("reject").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("other").value.trim()) judge("reject", $("other").value);
  else $("other").focus();
});
$("fixed").addEventListener("input", () => localStorage.setItem(draftKey(), $("fixed").value));
$("accept").addEventListener("click", KEYS.a);
$("start-fix").addEventListener("click", KEYS.f);
$("start-reject").addEventListener("click", KEYS.r);
$("undo").addEventListener("click", undo);
$("undo-last").addEventListener("click", undo);
$("previous").addEventListener("click", KEYS.ArrowLeft);
$("next").addEventListener("click", KEYS.ArrowRight);
$("help").addEventListener("click", () => $("keys").showModal());
$("who").addEventListener("click", askName);
for (const button of document.querySelectorAll("[data-cancel]")) button.addEventListener("click", cancel);
document.querySelector("[data-close]").addEventListener("click", () => $("keys").close());
$("again").addEventListener("click", () => open_(first));
$("name-form").addEventListener("submit", () => {
  who = $("annotator").value.trim();
  localStorage.setItem(NAME, who);
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  open_(place());
});
$("name").addEventListener("cancel", (event) => { if (!who) event.preventDefault(); });

function place() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

if (who) open_(place());
else askName();

// Three small things, all of them on top of a page that the server has drawn already:
// asking /mysql-pod again and again, replacing what has changed in /live, and turning pages of users in place.
// Nothing is asked while the tab is hidden.

const byId = (id) => document.getElementById(id);
const ordinal = (name) => Number(name.slice(name.lastIndexOf("-") + 1)) || 0;

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// Calls `work` again and again, `period()` milliseconds apart and never twice at the same time, while `wanted()`
// and the tab is visible. Returns the function to call when either has changed.
function repeat(work, period, wanted) {
  let running = false;
  const go = async () => {
    if (running) return;
    running = true;
    while (wanted() && !document.hidden) {
      const began = performance.now();
      await work();
      await new Promise((done) => setTimeout(done, Math.max(0, began + period() - performance.now())));
    }
    running = false;
  };
  document.addEventListener("visibilitychange", go);
  return go;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

// --- Who answers? ---

const shares = byId("shares");
const strip = byId("strip");
const counts = new Map();
let asking = true;

function row(name) {
  for (const li of shares.children) if (li.dataset.pod === name) return li;
  const li = document.createElement("li");
  li.dataset.pod = name;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.setAttribute("class", `f${ordinal(name) % 6}`);
  bar.setAttribute("height", "1");
  svg.append(bar);
  li.append(element("span", `pod p${ordinal(name) % 6}`, name), svg, element("span", "share", ""));
  const after = [...shares.children].find((other) => ordinal(other.dataset.pod) > ordinal(name));
  shares.insertBefore(li, after || null);
  return li;
}

function count(name) {
  counts.set(name, (counts.get(name) || 0) + 1);
  row(name);
  const total = [...counts.values()].reduce((sum, n) => sum + n, 0);
  for (const li of shares.children) {
    const n = counts.get(li.dataset.pod) || 0;
    const percent = Math.round((100 * n) / total);
    li.querySelector("rect").setAttribute("width", percent);
    li.querySelector(".share").textContent = `${percent} % · ${n}`;
  }
}

function addToStrip(className, text, title) {
  const li = element("li", className, text);
  li.title = title;
  strip.append(li);
  while (strip.children.length > 30) strip.firstElementChild.remove();
}

async function askPod() {
  try {
    const { mysql_pod: name, app_pod: app } = await (await ask("/mysql-pod")).json();
    count(name);
    addToStrip(`p${ordinal(name) % 6}`, ordinal(name), name);
    byId("app-pod").textContent = app;
    for (const drawn of document.querySelectorAll(".topology [data-pod]")) drawn.classList.toggle("hit", drawn.dataset.pod === name);
  } catch {
    addToStrip("none", "×", "no answer");
  }
}

const first = shares.querySelector("[data-first]");
if (first) count(first.dataset.pod);

const startAsking = repeat(askPod, () => 1000 / byId("rate").value, () => asking);
const showAsking = () => { byId("toggle").textContent = asking ? "Pause" : "Start"; };
byId("toggle").addEventListener("click", () => { asking = !asking; showAsking(); startAsking(); });
byId("rate").addEventListener("input", () => { byId("rate-text").textContent = `${byId("rate").value} a second`; });
showAsking();
startAsking();

// --- The pods now ---

let updating = true;
let shown = "";
// A pod that is gone is drawn for a minute. After that, it was scaled away.
const seen = { pods: 1, at: 0 };

async function update() {
  const pods = document.querySelectorAll(".topology [data-pod]:not([data-gone])").length;
  if (pods >= seen.pods || performance.now() - seen.at > 60000) Object.assign(seen, { pods, at: performance.now() });
  try {
    const text = await (await ask(`/live?pods=${seen.pods}`)).text();
    byId("lost").hidden = true;
    if (text === shown) return;
    shown = text;
    byId("live").replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  } catch {
    byId("lost").hidden = false;
  }
}

const startUpdating = repeat(update, () => 1000, () => updating);
byId("pause").addEventListener("click", () => {
  updating = !updating;
  byId("pause").textContent = updating ? "Pause updates" : "Resume updates";
  startUpdating();
});
startUpdating();

// --- Pages of users ---

async function turn(url) {
  const text = await (await fetch(url)).text();
  byId("users").replaceChildren(...new DOMParser().parseFromString(text, "text/html").getElementById("users").childNodes);
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest(".pager a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    await turn(link.href);
    history.pushState(null, "", link.href);
    byId("users").focus();
  } catch {
    location.href = link.href;
  }
});
addEventListener("popstate", () => turn(location.href).catch(() => location.reload()));

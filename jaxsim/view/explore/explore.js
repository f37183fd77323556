/* The live page: every change of the form is sent, and what is known of the latest is shown. The
   server sends an answer in stages, each a whole page, of which the parts marked data-part, the
   fixed table and the data are taken; then one final reply (view/explore/server.py). The form's
   fields are in the address after #, as q.NAME, beside the state of the report. */
"use strict";
(() => {
const form = document.getElementById("ask"), state = document.getElementById("state");
let last = 0, shown = 0, stage = 0, socket = null, began = 0, first = 0;
const replies = {}, times = {}; // what became of each id, and when its stages came, for tests
const say = (text, wrong = false) => { state.textContent = text; state.classList.toggle("error", wrong); };
const fields = () => Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, String(v).trim()]).filter(([, v]) => v));
const elapsed = (to = performance.now()) => `${((to - began) / 1000).toFixed(1)} s`;
function connect() {
  socket = new WebSocket(location.href.split("#")[0].replace(/^http/, "ws") + "changes");
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => say("The server has ended: start `jaxsim explore` again.", true);
}
/** The fields of the address put into the form; whether any of them is another than before. */
function remembered() {
  const q = new URLSearchParams(location.hash.slice(1));
  if (![...q.keys()].some((key) => key.startsWith("q."))) return false;
  const before = JSON.stringify(fields());
  for (const input of form.elements) if (input.name) input.value = q.get("q." + input.name) || "";
  return JSON.stringify(fields()) !== before;
}
function remember() {
  const q = new URLSearchParams(location.hash.slice(1));
  for (const key of [...q.keys()]) if (key.startsWith("q.")) q.delete(key);
  for (const [name, value] of Object.entries(fields())) q.set("q." + name, value);
  history.replaceState(null, "", "#" + q.toString());
}
function ask() {
  last += 1; began = performance.now(); stage = 0; first = 0; times[last] = [];
  say("…");
  remember();
  const text = JSON.stringify({ id: last, fields: fields() });
  if (socket.readyState === WebSocket.OPEN) socket.send(text); else socket.addEventListener("open", () => socket.send(text), { once: true });
  return last;
}
function receive(message) {
  const { id } = message;
  if (message.progress !== undefined) { if (id === last) say(`${first ? "A first answer is shown; " : ""}${message.progress} … (${elapsed()})`); return; }
  if (message.html === undefined) replies[id] = message.done ? "done" : message.error ? "error" : "superseded";
  else if (times[id]) times[id].push(performance.now() - began);
  if (id < last) return; // a later change is under way
  if (message.error) { say(message.error, true); return; }
  if (message.html) show(message);
  if (message.done) say(`Planned in ${elapsed()}; a first answer after ${elapsed(first)}.`);
}
function show(message) {
  const page = new DOMParser().parseFromString(message.html, "text/html"), data = page.getElementById("data");
  if (Boolean(data) !== Boolean(window.jaxsim)) { remember(); location.reload(); return; } // another kind of page
  document.title = page.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh) part.replaceChildren(...fresh.childNodes);
  }
  if (data) window.jaxsim.replace(JSON.parse(data.textContent), stage > 0 || message.id === kept);
  shown = message.id; stage += 1; first = first || performance.now();
}
form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
form.addEventListener("change", ask);
window.addEventListener("hashchange", () => { if (remembered()) { ask(); kept = last; } });
connect();
let kept = 0; // the change whose state is that of the address
if (remembered() || form.dataset.partial !== undefined) { ask(); kept = last; }
window.explore = { ask, replies, times, last: () => last, shown: () => shown };
})();

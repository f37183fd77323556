/* The live page: every change of the form is sent, and the latest answer is shown. The server
   replies to each id once (view/explore/server.py); what it sends is a whole page, of which the
   parts marked data-part, the fixed table and the data are taken. */
"use strict";
(() => {
const form = document.getElementById("ask"), state = document.getElementById("state");
let last = 0, shown = 0, socket = null, began = 0;
const replies = {}; // what became of each id, for tests
const say = (text, wrong = false) => { state.textContent = text; state.classList.toggle("error", wrong); };
const fields = () => Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, String(v).trim()]).filter(([, v]) => v));
function connect() {
  socket = new WebSocket(location.href.split("#")[0].replace(/^http/, "ws") + "changes");
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => say("The server has ended: start `jaxsim explore` again.", true);
}
function ask() {
  last += 1; began = performance.now();
  say("…");
  const text = JSON.stringify({ id: last, fields: fields() });
  if (socket.readyState === WebSocket.OPEN) socket.send(text); else socket.addEventListener("open", () => socket.send(text), { once: true });
  return last;
}
function receive(message) {
  if (message.progress !== undefined) { if (message.id === last) say(`${message.progress} … (${((performance.now() - began) / 1000).toFixed(1)} s)`); return; }
  replies[message.id] = message.html ? "html" : message.error ? "error" : "superseded";
  if (message.id < last) return; // a later change is under way
  if (message.error) { say(message.error, true); return; }
  if (message.html) show(message);
}
function show(message) {
  const page = new DOMParser().parseFromString(message.html, "text/html"), data = page.getElementById("data");
  document.title = page.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh) part.replaceChildren(...fresh.childNodes);
  }
  if (data) window.jaxsim.replace(JSON.parse(data.textContent));
  shown = message.id;
  say(`Planned in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
}
form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
form.addEventListener("change", ask);
connect();
window.explore = { ask, replies, last: () => last, shown: () => shown };
})();

// The page of a room: one websocket, the lines that come over it, and who is where.

const room = document.body.dataset.room;
const find = (id) => document.getElementById(id);
const [log, lines, status, form, text] = ["log", "lines", "status", "say", "text"].map(find);
const LINES_MAX = 500;

// Small helpers

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content); // Strings become text nodes: nothing typed is ever read as HTML.
  return made;
}

// A process's colour is the same in every tab, and neighbouring numbers differ well.
function processBadge(pid) {
  const badge = element("span", "pid", String(pid));
  badge.style.setProperty("--hue", String(Math.round((pid * 137.508) % 360)));
  return badge;
}

// Lines

// Which processes a line has gone through.
function provenance(line) {
  const first = line.kind === "announce" ? "sent by " : "taken by ";
  const path = element("p", "path", first, processBadge(line.took));
  if (line.worked) path.append(" → rolled by ", processBadge(line.worked));
  path.append(" → delivered by ", processBadge(line.delivered));
  return path;
}

function show(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  lines.append(item);
  while (lines.children.length > LINES_MAX) lines.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function showLine(line) {
  const now = new Date();
  const time = element("time", "", now.toTimeString().slice(0, 5));
  time.dateTime = now.toISOString();
  const who = line.kind === "error" ? "Only you see this" : line.nick;
  const item = element("li", line.kind);
  if (line.from && line.from === me.id) item.classList.add("mine");
  item.append(
    element("p", "who", element("b", "", who), " ", time),
    element("p", "text", line.text),
    provenance(line),
  );
  show(item);
}

function showNotice(message) {
  show(element("li", "notice", element("p", "text", message)));
}

// Who is where: the latest roster of each process, as long as it is renewed.

const rosters = new Map();

function takeRoster({ pid, edition, members, valid_for }) {
  if (edition < (rosters.get(pid)?.edition ?? 0)) return;
  rosters.set(pid, { edition, members, until: performance.now() + valid_for * 1000 });
  showPresence();
}

function dropStaleRosters() {
  const before = rosters.size;
  for (const [pid, roster] of rosters) if (roster.until < performance.now()) rosters.delete(pid);
  if (rosters.size !== before) showPresence();
}

function showPresence() {
  const rooms = new Map([[room, []]]);
  for (const [pid, { members }] of rosters) {
    for (const member of members) {
      if (!rooms.has(member.room)) rooms.set(member.room, []);
      rooms.get(member.room).push({ ...member, pid });
    }
  }
  const names = [...rooms.keys()].sort((a, b) => (b === room) - (a === room) || a.localeCompare(b));
  find("rooms").replaceChildren(...names.map((name) => roomItem(name, rooms.get(name))));
  const workers = [...rosters].filter(([, { members }]) => members.length).sort(([a], [b]) => a - b);
  find("workers").replaceChildren(...workers.map(workerItem));
}

function roomItem(name, members) {
  const link = element("a", "", element("span", "name", name), element("span", "count", String(members.length)));
  link.href = `/room/${name}/`;
  if (name === room) link.setAttribute("aria-current", "page");
  const people = element("ul", "people");
  for (const member of members.sort((a, b) => a.nick.localeCompare(b.nick))) {
    const person = element("li", "", element("span", "nick", member.nick), processBadge(member.pid));
    if (member.id === me.id) person.classList.add("mine");
    people.append(person);
  }
  return element("li", "", link, people);
}

function workerItem([pid, { members }]) {
  const mine = pid === me.pid ? " (yours)" : "";
  return element("li", "", processBadge(pid), `${members.length} connected${mine}`);
}

// The connection

const me = { id: "", pid: 0, nick: sessionStorage.getItem("nick") ?? "" };
let socket = null;
let failures = 0;

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const query = new URLSearchParams({ nick: me.nick });
  const opened = new WebSocket(`${scheme}://${location.host}/ws/${room}/?${query}`);
  socket = opened;
  status.textContent = "Connecting …";
  opened.onmessage = ({ data }) => opened === socket && take(JSON.parse(data));
  opened.onclose = ({ code }) => opened === socket && lost(code);
}

const handlers = {
  welcome({ id, pid }) {
    if (failures) showNotice("Back again. Lines said in between are not kept.");
    failures = 0;
    Object.assign(me, { id, pid });
    status.replaceChildren("Connected to process ", processBadge(pid));
    setOpen(true);
    showPresence();
  },
  line: showLine,
  roster: takeRoster,
  refused({ text: reason }) {
    showNotice(reason);
  },
};

function take(message) {
  handlers[message.type]?.(message);
}

function lost(code) {
  setOpen(false);
  if (code === 4400) {
    status.textContent = "Not connected.";
    askName();
    return;
  }
  if (!failures) showNotice("The connection is gone; trying to get it back.");
  status.textContent = "Reconnecting …";
  failures += 1;
  setTimeout(connect, Math.min(5000, 200 * 2 ** failures) * (0.5 + Math.random()));
}

function setOpen(open) {
  for (const control of form.elements) control.disabled = !open;
  if (open && !find("hello").open) text.focus();
}

// What the person does

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!text.value.trim() || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(text.value);
  text.value = "";
  log.scrollTop = log.scrollHeight;
});

const ADJECTIVES = ["Amber", "Brave", "Calm", "Dapper", "Gentle", "Merry", "Quick", "Silver", "Sunny", "Wise"];
const ANIMALS = ["Badger", "Crane", "Fox", "Heron", "Lynx", "Marten", "Otter", "Robin", "Seal", "Wren"];
const any = (list) => list[Math.floor(Math.random() * list.length)];

function askName() {
  find("nick").value = me.nick || `${any(ADJECTIVES)} ${any(ANIMALS)}`;
  find("hello").showModal();
  find("nick").select();
}

find("rename").addEventListener("click", askName);
find("hello").addEventListener("close", () => {
  const nick = find("nick").value.trim();
  if (!nick || (nick === me.nick && socket?.readyState === WebSocket.OPEN)) {
    if (!me.nick) askName();
    return;
  }
  me.nick = nick;
  sessionStorage.setItem("nick", nick); // Of this tab alone: two tabs are two people.
  start();
});

function start() {
  find("me").textContent = me.nick;
  find("rename").hidden = false;
  const before = socket;
  connect();
  before?.close();
}

setInterval(dropStaleRosters, 1000);
if (me.nick) start();
else askName();

"use strict";
// Asks /status once a second and shows what it says. The page keeps nothing between two answers: what the charts
// show comes with each of them, so a page that was hidden, or is open for days, is as good as a new one.
// Everything is put in as text. What the server said is not ours, and may be anything.

const period = 1000;
const patience = 3000;
const slowest = 5000;
const longest = 600;
const minutes = 5;

let asking = false;
let askAgain = 0;
let failures = 0;
let trouble = "";
let last = null;
let lastAt = Date.now();
let announced = "";
const drawn = new Map();

const at = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes the children of a list anew, but only if what they show has changed: a selection of text survives.
function list(id, data, make, otherwise) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  at(id).replaceChildren(...(data.length ? data.map(make) : [element("li", { class: "note" }, otherwise)]));
}

// Names and values; a value of null leaves its row out.
function facts(node, rows) {
  rows = rows.filter(([, value]) => value !== null && value !== undefined);
  const names = rows.map(([name]) => name).join("\n");
  if (node.dataset.names !== names) {
    node.dataset.names = names;
    node.replaceChildren(...rows.flatMap(([name]) => [element("dt", {}, name), element("dd")]));
  }
  node.querySelectorAll("dd").forEach((value, index) => put(value, cut(String(rows[index][1]))));
}

// Words

// Characters that show nothing, but command: those that turn the direction of what follows, and control characters.
const commands = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function cut(text) {
  const plain = text.slice(0, longest).replace(commands, "\ufffd");
  return text.length > longest ? plain + " … (the rest is in /status)" : plain;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return null;
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toPrecision(seconds < 0.01 ? 2 : 3)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

const ago = (seconds) => (seconds === null || seconds === undefined ? null : `${span(seconds)} ago`);
const many = (count, one, more = one + "s") => `${count} ${count === 1 ? one : more}`;

function clock(time) {
  const [day, hour] = [time.slice(0, 10), time.slice(11, 19)];
  return day === last.time.slice(0, 10) ? hour : `${day} ${hour}`;
}

function headline(status) {
  if (status.ready) return status.degraded ? "ready, degraded" : "ready";
  return status.state === "unready" ? "not ready" : `not ready: ${status.state}`;
}

// Charts

function shape(name, d) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", name);
  path.setAttribute("d", d);
  return path;
}

// `draw` gets the way from ages and numbers to places in the picture. `words` are what it shows, for who cannot see it.
function chart(id, top, label, words, draw) {
  const box = at(id);
  let picture = box.querySelector("svg");
  if (!picture) {
    picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("role", "img");
    box.append(picture, element("span", { class: "top", "aria-hidden": "true" }));
  }
  const [width, height] = [box.clientWidth || 300, 72];
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("aria-label", words);
  put(box.querySelector(".top"), label);
  const x = (age) => (width * (1 - Math.min(Math.max(age / (60 * minutes), 0), 1))).toFixed(1);
  const y = (value) => (height - 1 - (height - 18) * Math.min(value / top, 1)).toFixed(1);
  picture.replaceChildren(...draw(x, y, height));
}

// Stretches of samples without a gap: while the process is stopped or stuck, it has none.
function stretches(history) {
  const found = [];
  history.age.forEach((age, index) => {
    if (index && history.age[index - 1] - age <= 2.5 * history.step) found.at(-1).push(index);
    else found.push([index]);
  });
  return found;
}

function end(history, index) {
  const next = history.age[index + 1];
  return Math.max(0, next !== undefined && history.age[index] - next <= 2.5 * history.step ? next : history.age[index] - history.step);
}

// Steps, not slopes: a number of connections is never between two.
function outline(history, stretch, value, x, y) {
  return stretch.map((i) => `${x(history.age[i])},${y(value(i))} ${x(end(history, i))},${y(value(i))}`).join(" ");
}

function area(history, x, y, lower, upper) {
  return stretches(history).map((stretch) =>
    `M${outline(history, stretch, upper, x, y)} ` + `L${outline(history, stretch, lower, x, y).split(" ").reverse().join(" ")}Z`
  ).join("");
}

// Where there is no sample: before the start, and while the process did not run. That is not the same as zero.
function missing(history, x, height) {
  const found = stretches(history);
  const ends = [1e9, ...found.map((stretch) => end(history, stretch.at(-1)))];
  return shape("missing", ends.map((from, i) => [from, found[i] ? history.age[found[i][0]] : 0])
    .filter(([from, to]) => from - to > history.step)
    .map(([from, to]) => `M${x(from)},18H${x(to)}V${height}H${x(from)}Z`).join(""));
}

const most = (numbers) => numbers.reduce((a, b) => Math.max(a, b), 0);

function charts(status) {
  const { history, pool } = status;
  const used = history.leased;
  const open = used.map((count, i) => count + history.idle[i]);
  const all = open.map((count, i) => count + history.connecting[i]);
  const none = () => 0;
  chart("pool-chart", Math.max(pool.max, 1), `${pool.max}`,
    `Connections in the last ${minutes} minutes: now ${pool.idle} idle and ${pool.leased} in use of at most ${pool.max}, ` +
    `at most ${most(used)} in use at once`,
    (x, y, height) => [
      missing(history, x, height),
      shape("area leased", area(history, x, y, none, (i) => used[i])),
      shape("area idle", area(history, x, y, (i) => used[i], (i) => open[i])),
      shape("area connecting", area(history, x, y, (i) => open[i], (i) => all[i])),
      shape("stroke floor", `M${x(1e9)},${y(pool.min)} ${x(0)},${y(pool.min)}`),
    ]);
  const peak = most(history.waiting);
  chart("queue-chart", Math.max(peak, 4), `${Math.max(peak, 4)}`,
    `Callers that wait, in the last ${minutes} minutes: now ${pool.waiting}, at most ${peak}`,
    (x, y, height) => [missing(history, x, height), shape("area waiting", area(history, x, y, none, (i) => history.waiting[i]))]);
  const failed = history.probes_failed.reduce((a, b) => a + b, 0);
  const answered = history.probe_took.map((took, i) => (history.probes_failed[i] ? null : took));
  const slow = most(answered.filter((took) => took !== null));
  chart("probe-chart", Math.max(slow, 0.0001), slow ? span(slow) : "",
    `Probes in the last ${minutes} minutes: ` + (slow ? `slowest answer ${span(slow)}, ` : "none answered, ") + `${failed} failed`,
    (x, y, height) => [
      missing(history, x, height),
      shape("stroke took", answered.map((took, i) =>
        took === null ? "" : `M${x(history.age[i])},${height - 1}V${y(took)}`).join("")),
      shape("stroke failed", history.probes_failed.map((count, i) => {
        if (!count) return "";
        const place = Number(x(history.age[i]));
        return `M${place},${height - 1}V22M${place - 4},10l8,8m0,-8l-8,8`;
      }).join("")),
    ]);
}

// Parts

// Who asks for readiness regularly, and whether the drain has been told them.
function noticed(probers) {
  const told = probers.filter((prober) => prober.state === "told").length;
  const others = probers.filter((prober) => prober.state === "active");
  if (!told && !others.length) return null;
  const names = others.map((prober) => `${prober.address} (${prober.dialect}, told ${prober.told} times)`);
  return `${told} told` + (names.length ? `; not yet: ${names.join(", ")}` : "");
}

function progress(status) {
  const { drain, pool, login, ticket, slots, probers } = status;
  const node = at("progress");
  let bar = null;
  let rows = [];
  if (status.state === "draining" && drain) {
    const left = drain.stage === "closing" ? drain.in_use - drain.finished - drain.cut : pool.leased;
    bar = [drain.elapsed, drain.elapsed + drain.remaining, "time of the drain"];
    rows = [
      ["phase", drain.stage === "closing" ? "closing: nothing new is served, leases may finish"
        : "lame duck: not ready, but serving, because traffic still arrives"],
      ["in use still", many(left, "lease")], ["time left", span(drain.remaining)],
      ["load balancers", noticed(probers)],
      ["finished", drain.finished], ["cut off", drain.cut], ["refused", drain.refused],
    ];
  } else if (status.state === "drained" && drain) {
    rows = [["finished", many(drain.finished, "lease")], ["cut off", many(drain.cut, "lease")],
      ["refused", many(drain.refused, "waiting caller")], ["closed", many(drain.closed, "connection")], ["took", span(drain.elapsed)],
      ["load balancers", noticed(probers)]];
  } else if (status.state === "starting" || status.state === "warming") {
    bar = [Math.min(pool.idle + pool.leased, pool.min), pool.min, "connections open"];
    rows = [
      ["open", `${pool.idle + pool.leased} of ${many(pool.min, "connection")}`], ["connecting", pool.connecting],
      ["next login in", span(login.next_in)], ["failed in a row", login.failures_in_row || null],
      ["ticket", ticket && ticket.state.replaceAll("_", " ")], ["server is read in", slots.needed && span(slots.next_look_in)],
    ];
  }
  node.hidden = !rows.length;
  if (!rows.length) return;
  if (!node.firstChild) node.append(element("progress"), element("dl"));
  const meter = node.querySelector("progress");
  meter.hidden = !bar;
  if (bar) {
    meter.max = Math.max(bar[1], 0.001);
    meter.value = bar[0];
    meter.setAttribute("aria-label", bar[2]);
  }
  facts(node.querySelector("dl"), rows);
}

function reason(said) {
  const item = element("li", {}, element("p", { class: "said" }, cut(said.detail)));
  if (said.advice) item.append(element("p", { class: "advice" }, said.advice));
  return item;
}

function verdict(status) {
  document.body.dataset.state = status.degraded ? "degraded" : status.state;
  const words = headline(status);
  put(at("headline"), words);
  document.title = `${words} · ${status.instance}`;
  put(at("since"), `since ${clock(status.state_since)}, ${span(age(status.state_since))}`);
  const key = JSON.stringify(status.reasons);
  if (drawn.get("reasons") !== key) {
    drawn.set("reasons", key);
    at("reasons").replaceChildren(...status.reasons.map(reason));
  }
  progress(status);
  // Only a change of state or of the kind of reason is told: not every number, not every second.
  announce(words + status.reasons.map((said) => said.name).join(), () =>
    [words, ...status.reasons.map((said) => said.text)].join(". "));
}

const age = (time) => Math.max(0, (Date.parse(last.time) - Date.parse(time)) / 1000);

function announce(key, words) {
  if (announced && announced !== key) at("announced").textContent = words();
  announced = key;
}

function happening(change) {
  const to = change.to + (change.degraded ? ", degraded" : "");
  const words = change.from !== change.to ? `${change.from} → ${to}` : change.degraded ? to : `${to}, nothing wrong any more`;
  const item = element("li", {}, element("time", { datetime: change.time }, clock(change.time)), " ", element("strong", {}, words));
  for (const said of change.reasons) item.append(element("p", { class: "said" }, cut(said.detail)));
  return item;
}

function error(fault) {
  const times = fault.count === 1 ? "" : `, ${fault.count} times since ${clock(fault.first)}`;
  return element("li", {}, element("p", {}, element("time", { datetime: fault.last }, clock(fault.last)), " ",
    element("strong", {}, fault.text), times),
  element("p", { class: "said" }, cut([fault.host, fault.message].filter(Boolean).join(": "))),
  element("p", { class: "advice" }, fault.advice));
}

function leaks(status) {
  const sessions = status.session_leaks;
  const found = [
    ...status.leaks.map((leak) => `lease ${leak.lease} on connection ${leak.connection}, since ${clock(leak.since)}` +
      (leak.acquired_at ? `, acquired at ${leak.acquired_at}` : "")),
    ...sessions.open.map((leak) => `server process ${leak.backend_pid}: idle in a transaction for ${span(leak.idle_for)}, ` +
      `role ${leak.role}, application ${leak.application_name || "without a name"}${leak.own ? ", of this pool" : ""}`),
    ...sessions.limits.map((limit) => `not seen: ${limit}`),
  ];
  list("leaks", found, (text) => element("li", {}, cut(text)), "No lease is held for too long, no session idles in a transaction.");
}

function show(status) {
  verdict(status);
  at("live").hidden = false;
  put(at("instance"), status.instance);
  put(at("process"), `version ${status.version}, up ${span(status.uptime)}, ${clock(status.time)} UTC`);
  charts(status);
  const { pool, probe, login, slots, ticket, counters } = status;
  facts(at("pool"), [
    ["now", `${pool.idle} idle, ${pool.leased} in use, ${pool.connecting} connecting`],
    ["floor, ceiling", `${pool.min}, ${pool.max}`],
    ["waiting", pool.waiting ? `${pool.waiting}, the longest for ${span(pool.longest_wait)}` : 0],
    ["callers", status.breaker.state === "closed" ? "are served"
      : `refused at once (circuit ${status.breaker.state.replace("_", " ")}) since ${clock(status.breaker.since)}`],
  ]);
  const result = probe.last;
  facts(at("probe"), [
    ["last", result && `${result.ok ? "answered" : "failed"} in ${span(result.took)}, ${ago(result.age)}`],
    ["last", result ? null : "none yet"],
    ["what it met", result && result.fault && result.fault.text],
    ["last answer", result && result.ok ? null : ago(probe.last_good_age)],
    ["failed in a row", probe.failures_in_row || null],
    ["trusted for", probe.trusted_for === null ? null : span(Math.max(0, probe.trusted_for))],
  ]);
  const limit = (name, value) => [name, value && `${value.used} of ${value.limit} sessions`];
  const retired = status.retirement;
  facts(at("server"), [
    ["last login", login.last_success_age === null ? "none yet" : `took ${span(login.last_took)}, ${ago(login.last_success_age)}`],
    ["failing", login.failing ? `${many(login.failures_in_row, "time")} in a row, last ${ago(login.last_fault_age)}` : null],
    ["next login in", span(login.next_in)],
    ["slots", slots.max === null ? slots.hidden && `not known: ${slots.hidden}`
      : `${slots.used} of ${slots.max - slots.reserved} used (${slots.max}, ${slots.reserved} reserved), read ${ago(slots.age)}`],
    limit("role's limit", slots.role), limit("database's limit", slots.database),
    ["missing", slots.needed && `${slots.needed} needed, looks again in ${span(slots.next_look_in)}`],
    ["share", slots.share && `${slots.share} of a floor of ${pool.min}`],
    ["fleet", slots.fleet && `${many(slots.fleet.instances, "instance")}, ${many(slots.fleet.sessions, "session")}`],
    ["ticket", ticket && [`${ticket.state.replaceAll("_", " ")}, of ${ticket.tickets}`, ticket.reason].filter(Boolean).join(": ")],
    ["ticket held", ticket && ticket.held_until_in !== null ? `for ${span(ticket.held_until_in)} more at most` : null],
    ["generation", retired ? `${status.generation}, since ${clock(retired.time)}: ${retired.reason.replaceAll("_", " ")}` : status.generation],
    ["cluster", status.cluster.system_identifier || (status.cluster.hidden && `not known: ${status.cluster.hidden.text}`)],
  ]);
  list("errors", [...status.faults].reverse().sort((a, b) => (a.last < b.last ? 1 : a.last > b.last ? -1 : 0)), error, "None.");
  list("timeline", [...status.timeline].reverse(), happening, "Nothing has happened yet.");
  leaks(status);
  const sum = (counts) => Object.entries(counts).map(([name, count]) => `${name.replaceAll("_", " ")} ${count}`).join(", ") || null;
  facts(at("counts"), [
    ["first ready", status.startup.took === null ? "not yet" : `after ${span(status.startup.took)}`],
    ["logins", `${counters.logins_succeeded}, ${counters.logins_failed} failed`],
    ["probes", `${counters.probes_succeeded}, ${counters.probes_failed} failed`],
    ["leases", counters.leases], ["held too long", counters.leaks],
    ["callers refused", sum(counters.acquire_failures)], ["closed", sum(counters.closes)],
    ["readiness changed", many(counters.ready_transitions, "time")],
    ["drains refused", counters.drains_refused || null],
    ["impossible events", counters.impossible_events ? `${counters.impossible_events}: a bug of Warmgate` : null],
  ]);
  list("settings", status.settings, ({ name, value, source }) => element("tr", {}, element("th", { scope: "row" }, name),
    element("td", {}, value), element("td", {}, source)), "");
}

// An old answer must not look alive.
function gone() {
  document.body.dataset.state = "gone";
  put(at("headline"), "no answer");
  const seconds = Math.floor((Date.now() - lastAt) / 1000);
  put(at("since"), `for ${seconds < 120 ? `${seconds} s` : span(seconds)}: ${trouble}. ` +
    (last ? `What follows is from ${clock(last.time)} UTC; it was ${headline(last)}.` : "What follows is from when the page was loaded."));
  at("progress").hidden = true;
  document.title = `no answer · ${at("instance").textContent}`;
  announce("gone", () => `no answer: ${trouble}`);
}

async function ask() {
  asking = true;
  try {
    const answer = await fetch("status", {
      headers: { "X-Warmgate-Page": "1" }, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience),
    });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const status = await answer.json();
    // Another version of Warmgate brings another page.
    if (status.version !== document.documentElement.dataset.version) return location.reload();
    [last, lastAt, failures] = [status, Date.now(), 0];
  } catch (error) {
    failures += 1;
    trouble = error.name === "TimeoutError" ? "the sidecar does not answer"
      : error instanceof TypeError ? "the sidecar cannot be reached" : error.message;
  } finally {
    asking = false;
    askAgain = Date.now() + Math.min(period * 2 ** failures / 2, slowest) - 100;
  }
  if (failures) return gone();
  try {
    show(last);
  } catch (error) {
    trouble = `this page cannot show the answer (${error.message}), /status has it`;
    gone();
    throw error;
  }
}

function tick() {
  if (failures || Date.now() - lastAt > patience + 2 * period) {
    trouble ||= "asking again";
    gone();
  }
  if (!asking && Date.now() >= askAgain) ask();
}

let ticking = 0;
function wake() {
  clearInterval(ticking);
  ticking = 0;
  if (document.hidden) return;
  askAgain = 0;
  ticking = setInterval(tick, period);
  tick();
}
document.addEventListener("visibilitychange", wake);
wake();

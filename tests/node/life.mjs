// A person's life with goals, through the official client and HTTP: all that requirement 003 asks
// for. Between the steps whoever tells this does as they like with the servers' processes.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Caller, tell } from "./caller.mjs";
import { Device } from "./device.mjs";

const NAMESPACES = ["/account", "/care", "/goals", "/notifications"];
const EMAIL = "vera@example.com";
const [FIRST, SECOND, THIRD] = ["a quiet morning walk", "another quiet walk", "a third one, uphill"];
const PDF = "%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n";

const [, , start] = process.argv;
const { url } = JSON.parse(start);
const http = new Caller(url);
const device = new Device(url, null, "websocket", {
  namespaces: NAMESPACES, reconnectionDelay: 20, reconnectionDelayMax: 100, randomizationFactor: 0,
});
let session, goal, second, reminder;

const account = (event, payload = {}) => device.ask(event, payload, "/account");
const goals = (event, payload = {}) => device.ask(event, payload, "/goals");
const feed = (event, payload = {}) => device.ask(event, payload, "/notifications");
const hears = (event, where) => device.hear(event, { namespace: "/goals", where });
const refuses = (event, payload, code) =>
  assert.rejects(goals(event, payload), (error) => error.message.includes(`"${code}"`));
const codes = (error) => error.fields.map(({ path, code }) => [path, code]);
const titles = ({ stages }) => stages.map(({ title }) => title);
const wallTime = (moment) => moment.toISOString().slice(11, 16);
const inMinutes = (now, minutes) => wallTime(new Date(Date.parse(now) + minutes * 60_000));

/** How often each achievement was earned and revoked so far. */
const rewards = () => device.history
  .filter(({ event }) => event.startsWith("achievement:") && event !== "achievement:progressed")
  .map(({ event, data }) => `${event.split(":")[1]} ${data.code}`);

function keep(opened) {
  session = opened;
  http.token = device.token = opened.access_token;
  return { token: opened.access_token, id: opened.user.id };
}

async function comesBack(password) {
  const kept = keep(await http.call("POST", "/auth/login", { email: EMAIL, password }));
  await device.connect();
  return kept;
}

async function isPutOut() {
  for (const name of NAMESPACES) {
    await device.until(() => !device.sockets[name].connected, `leaving ${name}`);
  }
}

async function registers() {
  const path = "/auth/register";
  for (const [email, password, wrong] of [
    ["nobody", FIRST, ["email", "value_error"]],
    [EMAIL, "", ["password", "string_too_short"]],
    [EMAIL, "short", ["password", "too_short"]],
    [EMAIL, "x".repeat(73), ["password", "too_long"]],
    [EMAIL, EMAIL, ["password", "same_as_email"]],
    [EMAIL, "password123", ["password", "too_common"]],
  ]) {
    const error = await http.refused("POST", path, { email, password }, 422);
    assert.equal(error.code, "invalid");
    assert.deepEqual(codes(error), [wrong]);
  }
  const opened = await http.call("POST", path, { email: EMAIL, password: FIRST, name: "Vera" }, 201);
  assert.deepEqual([opened.user.role, opened.token_type, opened.expires_in], ["patient", "bearer", 1800]);
  const taken = await http.refused("POST", path, { email: EMAIL, password: SECOND }, 409);
  assert.equal(taken.code, "email_taken");
}

async function signsIn() {
  for (const email of [EMAIL, "nobody@example.com"]) {
    const error = await http.refused("POST", "/auth/login", { email, password: "not this one" }, 401);
    assert.equal(error.code, "bad_credentials");
  }
  const opened = await http.call("POST", "/auth/login", { email: EMAIL, password: FIRST });
  const asked = { refresh_token: opened.refresh_token, client_ref: randomUUID() };
  const refreshed = await http.call("POST", "/auth/refresh", asked);
  assert.notEqual(refreshed.refresh_token, opened.refresh_token);
  assert.deepEqual(await http.call("POST", "/auth/refresh", asked), refreshed); // the answer was lost
  const kept = keep(refreshed);
  await device.connect();
  return kept;
}

async function asksForRecovery() {
  await http.call("POST", "/auth/forgot-password", { email: EMAIL }, 202);
  await http.call("POST", "/auth/forgot-password", { email: "nobody@example.com" }, 202);
}

async function recovers({ reset }) {
  const path = "/auth/reset-password";
  const weak = await http.refused("POST", path, { token: reset, password: "short" }, 422);
  assert.deepEqual(codes(weak), [["password", "too_short"]]);
  await http.call("POST", path, { token: reset, password: SECOND }, 204);
  const again = await http.refused("POST", path, { token: reset, password: THIRD }, 422);
  assert.deepEqual(codes(again), [["token", "not_valid"]]);
  await isPutOut();
  await http.refused("POST", "/auth/login", { email: EMAIL, password: FIRST }, 401);
  await http.refused("POST", "/auth/refresh", { refresh_token: session.refresh_token }, 401);
  return await comesBack(SECOND);
}

async function changesThePassword() {
  const path = "/account/password";
  await http.refused("PUT", path, { current: FIRST, new: THIRD }, 401);
  const before = session.refresh_token;
  keep(await http.call("PUT", path, { current: SECOND, new: THIRD }));
  assert.deepEqual((await account("session:list")).total, 1);
  // Whoever comes with the one before may have stolen it: that ends the session.
  await http.refused("POST", "/auth/refresh", { refresh_token: before }, 401);
  await isPutOut();
  return await comesBack(THIRD);
}

async function switchesPushesOff() {
  await account("device:register", { token: "Vera's phone", platform: "android" });
  await feed("preference:set", { type: "relation", in_app: true, push: true, email: false });
  const settings = await account("settings:update", { push_enabled: false });
  assert.equal(settings.push_enabled, false);
  assert.deepEqual((await device.hear("settings:updated", { namespace: "/account" })).data, settings);
}

async function isInvited({ invitations }) {
  const created = () => device.history.filter(({ event }) => event === "notification:created");
  await device.until(() => created().length === invitations, `${invitations} invitations`);
  assert.equal((await feed("unread:get")).total, invitations);
}

async function switchesPushesOn({ now }) {
  assert.equal((await account("settings:update", { push_enabled: true })).push_enabled, true);
  const wrong = { frequency: "hourly", times: ["05:00"] };
  await assert.rejects(account("schedule:update", wrong), /"invalid"/);
  const weekly = { frequency: "weekly", weekday: 1, times: ["17:00", "05:00"] };
  assert.deepEqual((await account("schedule:update", weekly)).times, ["05:00", "17:00"]);
  const daily = { frequency: "daily", times: [inMinutes(now, 2)] };
  assert.deepEqual(await account("schedule:update", daily), { ...daily, weekday: null });
}

async function switchesTheDigestOff() {
  const off = await account("schedule:update", { frequency: "off", times: [] });
  assert.equal(off.frequency, "off");
}

async function setsGoals() {
  await refuses("goal:create", { title: "" }, "invalid");
  await refuses("goal:create", { title: "Run", deadline: "2026-02-30" }, "invalid");
  const asked = { title: "Run", description: "Five kilometres", client_ref: randomUUID() };
  goal = await goals("goal:create", asked);
  assert.deepEqual(await goals("goal:create", asked), goal); // once, though asked for twice
  second = await goals("goal:create", { title: "Read a book" });
  const changed = { goal_id: goal.id, title: "Run 5 km", deadline: "2199-12-31" };
  goal = await goals("goal:update", changed);
  assert.deepEqual([goal.title, goal.deadline, goal.progress], ["Run 5 km", "2199-12-31", 0]);
  const { items, total } = await goals("goal:list");
  assert.deepEqual([items, total], [[second, goal], 2]);
}

async function addsStages() {
  for (const title of ["Run 3 km", "Buy shoes", "Give up", "Run 5 km"]) {
    goal = await goals("stage:add", { goal_id: goal.id, title });
  }
  goal = await goals("stage:update", { stage_id: goal.stages[0].id, title: "Run 1 km" });
  goal = await goals("stage:delete", { stage_id: goal.stages[2].id });
  goal = await goals("stage:reorder", { stage_id: goal.stages[1].id, after_stage_id: null });
  assert.deepEqual(titles(goal), ["Buy shoes", "Run 1 km", "Run 5 km"]);
}

async function attaches() {
  const form = new FormData();
  form.append("purpose", "goal");
  form.append("file", new Blob([PDF], { type: "application/pdf" }), "Результат.pdf");
  const file = await http.call("POST", "/uploads", form, 201);
  goal = await goals("attachment:add", { goal_id: goal.id, upload_id: file.id });
  assert.deepEqual(goal.attachments.map(({ file_name }) => file_name), ["Результат.pdf"]);
}

async function opensTheAttachment() {
  const { attachments } = await goals("goal:get", { goal_id: goal.id });
  const answer = await fetch(attachments[0].url);
  assert.equal(await answer.text(), PDF);
  assert.equal(answer.headers.get("Content-Type"), "application/pdf");
}

async function asksTheModel() {
  const answer = await goals("ai:split", { goal_id: second.id });
  assert.deepEqual(answer, { status: "generating" });
  await refuses("ai:split", { goal_id: second.id }, "conflict");
}

async function hearsAStage() {
  const { data } = await hears("stage:suggested", ({ goal_id }) => goal_id === second.id);
  assert.equal(data.suggestion.title, "Find a book");
}

async function hearsTheOthers() {
  const { data } = await hears("ai:finished", ({ goal_id }) => goal_id === second.id);
  const suggested = data.split.suggestions;
  assert.deepEqual(suggested.map(({ title }) => title), ["Find a book", "Read a page", "Read on"]);
  second = await goals("suggestion:accept", { suggestion_id: suggested[0].id });
  const accepted = { suggestion_id: suggested[2].id, title: "Read to the end" };
  second = await goals("suggestion:accept", accepted);
  second = await goals("suggestion:refuse", { suggestion_id: suggested[1].id });
  await refuses("suggestion:accept", accepted, "conflict");
  assert.deepEqual(titles(second), ["Find a book", "Read to the end"]);
  assert.deepEqual(second.split.suggestions, []);
}

async function hearsAModelThatStalls() {
  await goals("ai:split", { goal_id: goal.id });
  await hears("stage:suggested", ({ goal_id }) => goal_id === goal.id);
}

async function hearsItOut() {
  const { data } = await hears("ai:finished", ({ goal_id }) => goal_id === goal.id);
  const suggested = data.split.suggestions.map(({ title }) => title);
  assert.deepEqual(suggested, ["Stretch", "Rest"]);
  goal = await goals("goal:get", { goal_id: goal.id });
}

async function completesAStage() {
  goal = await goals("stage:complete", { stage_id: goal.stages[0].id });
  assert.equal(goal.progress, 33);
  const { data } = await hears("achievement:earned", ({ code }) => code === "first_stage");
  assert.deepEqual([data.title, data.count], ["The first step", 1]);
  const where = ({ type }) => type === "achievement";
  const note = await device.hear("notification:created", { namespace: "/notifications", where });
  assert.equal(note.data.title, "Earned: The first step");
}

async function undoesIt() {
  goal = await goals("stage:undo", { stage_id: goal.stages[0].id });
  assert.equal(goal.progress, 0);
  await hears("achievement:revoked", ({ code }) => code === "first_stage");
}

async function reachesTheGoal() {
  for (const { id } of goal.stages) goal = await goals("stage:complete", { stage_id: id });
  assert.equal(goal.progress, 100);
  await hears("achievement:earned", ({ code }) => code === "first_goal");
  assert.deepEqual(rewards(), [
    "earned first_stage", "revoked first_stage", "earned first_stage", "earned first_goal",
  ]);
}

async function archives() {
  goal = await goals("goal:archive", { goal_id: goal.id });
  assert.deepEqual((await goals("goal:list_archived")).items, [goal]);
  assert.deepEqual((await goals("goal:list")).items, [second]);
}

async function restores() {
  goal = await goals("goal:restore", { goal_id: goal.id });
  assert.deepEqual((await goals("goal:list")).items, [second, goal]);
  assert.equal((await goals("goal:list_archived")).total, 0);
}

async function setsAReminder({ now }) {
  for (const every_days of [0, 366]) {
    const wrong = { goal_id: second.id, times: ["08:00"], every_days };
    await refuses("reminder:set", wrong, "invalid");
  }
  const daily = { goal_id: second.id, times: [inMinutes(now, 2)] };
  reminder = await goals("reminder:set", { ...daily, every_days: 3 });
  reminder = await goals("reminder:set", { ...daily, reminder_id: reminder.id });
  assert.deepEqual([reminder.every_days, reminder.snoozed], [1, false]);
}

async function isReminded() {
  const { data } = await hears("reminder:due", ({ reminder: { id } }) => id === reminder.id);
  assert.equal(data.title, "Read a book");
  assert.ok(Date.parse(data.reminder.next_at) > Date.parse(reminder.next_at));
  const where = ({ type }) => type === "reminder";
  await device.hear("notification:created", { namespace: "/notifications", where });
}

async function snoozes({ minutes }) {
  reminder = await goals("reminder:snooze", { reminder_id: reminder.id, minutes });
  assert.equal(reminder.snoozed, true);
}

async function isRemindedAgain() {
  const due = () => device.history.filter(({ event }) => event === "reminder:due");
  await device.until(() => due().length === 2, "the second reminder");
  assert.equal(due()[1].data.reminder.snoozed, false);
  const { items } = await goals("reminder:list", { goal_id: second.id });
  assert.deepEqual(items, [due()[1].data.reminder]);
}

async function needsNoReminder() {
  await goals("reminder:delete", { reminder_id: reminder.id });
  assert.deepEqual((await goals("goal:get", { goal_id: second.id })).reminders, []);
}

async function looksAtAchievements({ percent }) {
  device.disconnect(); // or it was put out: it is a day later, where the server's clock says so
  const kept = await comesBack(THIRD);
  const { items, computed_at } = await goals("achievement:list");
  const shown = Object.fromEntries(items.map((one) => [one.code, [one.count, one.percent]]));
  assert.deepEqual(shown.first_stage, [1, percent]);
  assert.deepEqual(shown.first_goal, [1, percent]);
  assert.deepEqual(shown.five_goals, [0, 0]);
  assert.deepEqual([items.at(-1).icon, items.at(-1).title], ["secret", "A secret"]);
  assert.ok(computed_at);
  return kept;
}

async function readsTheFeed() {
  const first = await feed("notification:list");
  assert.deepEqual([first.items.length, first.skip, first.limit], [20, 0, 20]);
  const rest = await feed("notification:list", { skip: 20 });
  const ids = [...first.items, ...rest.items].map(({ id }) => id);
  assert.deepEqual([ids.length, new Set(ids).size], [first.total, first.total]);
  assert.deepEqual(ids, ids.toSorted((a, b) => b - a));
  const unread = (await feed("notification:list", { unread: true })).total;
  const notification_id = first.items.find(({ read_at }) => read_at === null).id;
  for (const expected of [[notification_id], []]) {
    const read = await feed("notification:read", { notification_id });
    assert.deepEqual([read.notification_ids, read.total], [expected, unread - 1]);
  }
}

async function readsAll() {
  const { total } = await feed("unread:get");
  const read = await feed("notification:read_all");
  assert.deepEqual([read.notification_ids.length, read.total], [total, 0]);
  assert.equal((await feed("notification:list", { unread: true })).total, 0);
}

async function takesEverythingAlong() {
  await http.call("POST", "/account/export", undefined, 202);
  await http.call("POST", "/account/export", undefined, 202);
}

async function fetchesIt() {
  const { data } = await device.hear("export:ready", { namespace: "/account" });
  const answer = await fetch(data.url);
  assert.equal(answer.status, 200);
  assert.equal((await answer.arrayBuffer()).byteLength, data.size);
  const { items: [listed], total } = await account("export:list");
  assert.deepEqual([total, listed], [1, { ...data, url: listed.url }]);
  return { url: data.url };
}

async function deletesAGoal() {
  const { attachments: [file] } = await goals("goal:get", { goal_id: goal.id });
  assert.equal((await fetch(file.url)).status, 200);
  await goals("goal:delete", { goal_id: goal.id });
  await hears("goal:deleted", ({ goal_id }) => goal_id === goal.id);
  await refuses("goal:get", { goal_id: goal.id }, "not_found");
  assert.equal((await fetch(file.url)).status, 404);
}

async function rests({ heads }) {
  for (const [name, head] of Object.entries(heads)) {
    await device.until(() => device.positions[name].after === head, `all of ${name}`);
  }
  return { history: device.history };
}

async function signsOut() {
  await http.call("POST", "/auth/logout", undefined, 204);
  await isPutOut();
}

/** After a step: what to wait for when its server was another one since. */
function prepare() {
  const there = NAMESPACES.filter((name) => device.sockets[name].active);
  const before = { ...device.joined };
  return async ({ anew }) => {
    for (const name of anew ? there : []) {
      await device.until(() => device.joined[name] > before[name], `coming back to ${name}`);
    }
  };
}

await tell([
  registers, signsIn, asksForRecovery, recovers, changesThePassword, switchesPushesOff, isInvited,
  switchesPushesOn, switchesTheDigestOff, setsGoals, addsStages, attaches, opensTheAttachment,
  asksTheModel, hearsAStage, hearsTheOthers, hearsAModelThatStalls, hearsItOut, completesAStage,
  undoesIt, reachesTheGoal, archives, restores, setsAReminder, isReminded, snoozes, isRemindedAgain,
  needsNoReminder, looksAtAchievements, readsTheFeed, readsAll, takesEverythingAlong, fetchesIt,
  deletesAGoal, rests, signsOut,
], {}, prepare);

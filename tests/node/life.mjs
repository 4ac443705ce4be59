// A person's life with goals, through the official client and HTTP: all that requirement 003 asks
// for. Between the steps whoever tells this does as they like with the servers' processes.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  asksForRecovery, beginsAnew, changesThePassword, fetchesIt, findsEverythingAgain, isInvited,
  leavesForAWhile, leavesForEver, recovers, registers, signsIn, signsOut, switchesPushesOff,
  switchesPushesOn, switchesTheDigestOff, takesEverythingAlong,
} from "./account.mjs";
import { tell } from "./caller.mjs";
import { THIRD, comesBack, device, feed, goals, http, inMinutes, prepare } from "./vera.mjs";

const PDF = "%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n";
let goal, second, reminder;

const hears = (event, where) => device.hear(event, { namespace: "/goals", where });
const refuses = (event, payload, code) =>
  assert.rejects(goals(event, payload), (error) => error.message.includes(`"${code}"`));
const titles = ({ stages }) => stages.map(({ title }) => title);

/** How often each achievement was earned and revoked so far. */
const rewards = () => device.history
  .filter(({ event }) => event.startsWith("achievement:") && event !== "achievement:progressed")
  .map(({ event, data }) => `${event.split(":")[1]} ${data.code}`);

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

await tell([
  registers, signsIn, asksForRecovery, recovers, changesThePassword, switchesPushesOff, isInvited,
  switchesPushesOn, switchesTheDigestOff, setsGoals, addsStages, attaches, opensTheAttachment,
  asksTheModel, hearsAStage, hearsTheOthers, hearsAModelThatStalls, hearsItOut, completesAStage,
  undoesIt, reachesTheGoal, archives, restores, setsAReminder, isReminded, snoozes, isRemindedAgain,
  needsNoReminder, looksAtAchievements, readsTheFeed, readsAll, takesEverythingAlong, fetchesIt,
  deletesAGoal, rests, signsOut, leavesForAWhile, findsEverythingAgain, leavesForEver, beginsAnew,
], {}, prepare);

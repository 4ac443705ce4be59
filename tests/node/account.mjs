// Vera's account: how she comes, comes back and leaves, what it is set to, and all it holds.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  EMAIL, FIRST, SECOND, THIRD, account, comesBack, device, feed, goals, http, inMinutes, isPutOut, keep,
  session,
} from "./vera.mjs";

const codes = (error) => error.fields.map(({ path, code }) => [path, code]);

export async function registers() {
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

export async function signsIn() {
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

export async function asksForRecovery() {
  await http.call("POST", "/auth/forgot-password", { email: EMAIL }, 202);
  await http.call("POST", "/auth/forgot-password", { email: "nobody@example.com" }, 202);
}

export async function recovers({ reset }) {
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

export async function changesThePassword() {
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

export async function switchesPushesOff() {
  await account("device:register", { token: "Vera's phone", platform: "android" });
  await feed("preference:set", { type: "relation", in_app: true, push: true, email: false });
  const settings = await account("settings:update", { push_enabled: false });
  assert.equal(settings.push_enabled, false);
  assert.deepEqual((await device.hear("settings:updated", { namespace: "/account" })).data, settings);
}

export async function isInvited({ invitations }) {
  const created = () => device.history.filter(({ event }) => event === "notification:created");
  await device.until(() => created().length === invitations, `${invitations} invitations`);
  assert.equal((await feed("unread:get")).total, invitations);
}

export async function switchesPushesOn({ now }) {
  assert.equal((await account("settings:update", { push_enabled: true })).push_enabled, true);
  const wrong = { frequency: "hourly", times: ["05:00"] };
  await assert.rejects(account("schedule:update", wrong), /"invalid"/);
  const weekly = { frequency: "weekly", weekday: 1, times: ["17:00", "05:00"] };
  assert.deepEqual((await account("schedule:update", weekly)).times, ["05:00", "17:00"]);
  const daily = { frequency: "daily", times: [inMinutes(now, 2)] };
  assert.deepEqual(await account("schedule:update", daily), { ...daily, weekday: null });
}

export async function switchesTheDigestOff() {
  const off = await account("schedule:update", { frequency: "off", times: [] });
  assert.equal(off.frequency, "off");
}

export async function takesEverythingAlong() {
  await http.call("POST", "/account/export", undefined, 202);
  await http.call("POST", "/account/export", undefined, 202);
}

export async function fetchesIt() {
  const { data } = await device.hear("export:ready", { namespace: "/account" });
  const answer = await fetch(data.url);
  assert.equal(answer.status, 200);
  assert.equal((await answer.arrayBuffer()).byteLength, data.size);
  const { items: [listed], total } = await account("export:list");
  assert.deepEqual([total, listed], [1, { ...data, url: listed.url }]);
  return { url: data.url };
}

export async function signsOut() {
  await http.call("POST", "/auth/logout", undefined, 204);
  await isPutOut();
}

export async function leavesForAWhile() {
  await comesBack(THIRD);
  const error = await http.refused("DELETE", "/account", { password: FIRST }, 401);
  assert.equal(error.code, "bad_credentials");
  await http.call("DELETE", "/account", { password: THIRD }, 204);
  await isPutOut();
  await http.refused("POST", "/auth/refresh", { refresh_token: session.refresh_token }, 401);
}

export async function findsEverythingAgain() {
  const kept = await comesBack(THIRD);
  const { items: [left], total } = await goals("goal:list");
  assert.deepEqual([left.title, left.progress, total], ["Read a book", 0, 1]);
  return kept;
}

export async function leavesForEver() {
  const error = await http.refused("DELETE", "/account/data", { password: FIRST }, 401);
  assert.equal(error.code, "bad_credentials");
  await http.call("DELETE", "/account/data", { password: THIRD }, 202);
  await isPutOut();
  await http.refused("POST", "/auth/login", { email: EMAIL, password: THIRD }, 401);
}

export async function beginsAnew() {
  const before = session.user.id;
  const opened = await http.call("POST", "/auth/register", { email: EMAIL, password: THIRD }, 201);
  assert.notEqual(keep(opened).id, before);
  for (const list of ["goals/goal:list", "notifications/notification:list", "care/relation:list"]) {
    assert.equal((await http.call("POST", `/events/${list}`, {})).data.total, 0);
  }
}

// Vera, whose life the story tells: her device and her session, on which all of its parts go on.
import { Caller } from "./caller.mjs";
import { Device } from "./device.mjs";

export const EMAIL = "vera@example.com";
export const [FIRST, SECOND, THIRD] = ["a quiet morning walk", "another quiet walk", "a third one, uphill"];
const NAMESPACES = ["/account", "/care", "/goals", "/notifications"];

const [, , start] = process.argv;
const { url } = JSON.parse(start);
export const http = new Caller(url);
export const device = new Device(url, null, "websocket", {
  namespaces: NAMESPACES, reconnectionDelay: 20, reconnectionDelayMax: 100, randomizationFactor: 0,
});
export let session;

export const account = (event, payload = {}) => device.ask(event, payload, "/account");
export const goals = (event, payload = {}) => device.ask(event, payload, "/goals");
export const feed = (event, payload = {}) => device.ask(event, payload, "/notifications");
const wallTime = (moment) => moment.toISOString().slice(11, 16);
export const inMinutes = (now, minutes) => wallTime(new Date(Date.parse(now) + minutes * 60_000));

export function keep(opened) {
  session = opened;
  http.token = device.token = opened.access_token;
  return { token: opened.access_token, id: opened.user.id };
}

export async function comesBack(password) {
  const kept = keep(await http.call("POST", "/auth/login", { email: EMAIL, password }));
  await device.connect();
  return kept;
}

export async function isPutOut() {
  for (const name of NAMESPACES) {
    await device.until(() => !device.sockets[name].connected, `leaving ${name}`);
  }
}

/** After a step: what to wait for when its server was another one since. */
export function prepare() {
  const there = NAMESPACES.filter((name) => device.sockets[name].active);
  const before = { ...device.joined };
  return async ({ anew }) => {
    for (const name of anew ? there : []) {
      await device.until(() => device.joined[name] > before[name], `coming back to ${name}`);
    }
  };
}

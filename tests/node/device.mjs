// A device: the official client on some namespaces, with what it was told kept in order.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { Manager } from "socket.io-client";

export const NAMESPACES = ["/chat", "/notifications"];
export const PATIENCE = 10_000;

export class Device {
  constructor(url, token, transport, { namespaces = NAMESPACES, ...options } = {}) {
    this.token = token;
    this.namespaces = namespaces;
    this.told = [];
    this.history = []; // all that was ever numbered
    this.left = {};
    this.joined = Object.fromEntries(namespaces.map((name) => [name, 0]));
    this.positions = Object.fromEntries(namespaces.map((name) => [name, {}]));
    this.news = new EventEmitter();
    // Without `transports` the client does what it does by default: polls, then moves over.
    const transports = transport === "upgrade" ? {} : { transports: [transport] };
    this.manager = new Manager(url, { autoConnect: false, ...transports, ...options });
    this.manager.on("open", () => {
      this.openedWith = this.transport;
      this.manager.engine.on("upgrade", () => this.news.emit("news"));
    });
    this.sockets = Object.fromEntries(namespaces.map((name) => [name, this.#join(name)]));
  }

  get transport() {
    return this.manager.engine.transport.name;
  }

  /** Join all namespaces, from where this device stopped; what was told from now on counts. */
  async connect() {
    this.told = [];
    for (const socket of Object.values(this.sockets)) socket.connect();
    await Promise.all(this.namespaces.map((name) => this.hear("stream:ready", { namespace: name })));
  }

  disconnect() {
    for (const socket of Object.values(this.sockets)) socket.disconnect();
  }

  /** The data of the answer; an error answer throws. */
  async ask(event, payload, namespace = "/chat") {
    const answer = await this.sockets[namespace].timeout(PATIENCE).emitWithAck(event, payload);
    if (answer.error) throw new Error(`${event} was answered ${JSON.stringify(answer)}`);
    assert.deepEqual(Object.keys(answer), ["data"]);
    return answer.data;
  }

  /** The first such event since `connect`, whether it came already or comes now. */
  async hear(event, { namespace = "/chat", where = () => true } = {}) {
    const isIt = (told) => told.namespace === namespace && told.event === event && where(told.data);
    await this.until(() => this.told.some(isIt), `${event} in ${namespace}`);
    return this.told.find(isIt);
  }

  /** What was told and numbered in a namespace since `connect`. */
  pushes(namespace = "/chat") {
    return this.told.filter((told) => told.namespace === namespace && "seq" in told.meta);
  }

  until(holds, what) {
    return new Promise((done, fail) => {
      const check = () => {
        if (!holds()) return;
        clearTimeout(timer);
        this.news.off("news", check);
        done();
      };
      const timer = setTimeout(() => fail(new Error(`nothing was heard of ${what}`)), PATIENCE);
      this.news.on("news", check);
      check();
    });
  }

  #join(namespace) {
    const position = this.positions[namespace];
    const socket = this.manager.socket(namespace, { auth: (give) => give({ token: this.token, ...position }) });
    socket.onAny((event, data, meta) => {
      if (event === "stream:ready") {
        Object.assign(position, { after: data.from, epoch: data.epoch });
        this.joined[namespace] += 1;
      }
      if ("seq" in meta) {
        assert.equal(meta.seq, position.after + 1, `${namespace} ${event} is out of order`);
        position.after = meta.seq;
        this.history.push({ namespace, event, data, meta });
      }
      assert.match(meta.at, /Z$/);
      this.told.push({ namespace, event, data, meta });
      this.news.emit("news");
    });
    socket.on("disconnect", (reason) => {
      this.left[namespace] = reason;
      this.news.emit("news");
    });
    socket.on("connect_error", (error) => {
      // Without data nobody has answered: the server is not there, and the client tries again.
      if (error.data) console.error(`${namespace} was refused: ${JSON.stringify(error.data)}`);
    });
    return socket;
  }
}

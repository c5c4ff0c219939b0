// SPDX-License-Identifier: Apache-2.0
// The WhatsApp side of an instance: Baileys sessions whose keys live with the instance, reached over a pipe, one
// end of a socket pair whose descriptor is named at the start.
//
// The rule that everything here serves: nothing leaves over a WhatsApp connection while the instance has not made
// durable every key that changed before it (see `Gate`). What was sealed, what is acknowledged, what is asked for a
// retry, which prekeys are offered: all of it waits there. When the instance ends a session it is muted for good, and
// what waits then never leaves; no error is raised, for Baileys would answer one with a refusal of the message.
//
// Frames are JSON with a length of four bytes, big-endian, before it. Nothing is ever written to stdout.

// Libraries print whole sessions with their private keys: silence them before any is loaded.
for (const name of ["log", "info", "warn", "error", "debug", "trace", "dir", "table"]) console[name] = () => {};

const net = await import("node:net");
const { createHash } = await import("node:crypto");
const { AsyncLocalStorage } = await import("node:async_hooks");
const { pathToFileURL } = await import("node:url");

const PROTOCOL = 1;
const FRAME_MAX = 16 * 1024 * 1024;
const REASON_WITHIN_MS = 50; // a connection's end may overtake the reason for it, which was read before
const COMMIT_WITHIN_MS = 200; // keys that nothing waits for
const DEVICES_KNOWN_MS = 24 * 3600_000; // changes of devices are told
const GROUP_KNOWN_MS = 300_000; // changes of groups are told; those that were missed are found so
const SENT_KEPT = 1000; // messages of a session that are remembered here for who asks for one again

const baileysAt = process.argv[2];
const baileys = await import(pathToFileURL(`${baileysAt}/lib/index.js`).href);
if (process.env.HOMING_TEST_WHATSAPP_ROOT)
  baileys.WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(process.env.HOMING_TEST_WHATSAPP_ROOT, "hex");

// --- the pipe ---------------------------------------------------------------------------------------------------

const pipe = new net.Socket({ fd: Number(process.argv[3]), readable: true, writable: true });
pipe.on("end", () => process.exit(0));
pipe.on("close", () => process.exit(0));
pipe.on("error", () => process.exit(0));

function say(frame) {
  const body = Buffer.from(JSON.stringify(frame));
  if (body.length > FRAME_MAX) return fail(`a frame of ${body.length} bytes`);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  pipe.write(Buffer.concat([head, body]));
}

function fail(why) {
  process.stderr.write(`sidecar ends: ${why}\n`);
  process.exit(3);
}

process.on("uncaughtException", (error) => fail(`unexpected: ${error?.name}`));
process.on("unhandledRejection", () => {}); // Baileys leaves some; each of its answers is waited for where it counts

let unread = Buffer.alloc(0);
pipe.on("data", (data) => {
  unread = unread.length ? Buffer.concat([unread, data]) : data;
  while (unread.length >= 4) {
    const length = unread.readUInt32BE(0);
    if (length > FRAME_MAX) return fail(`a frame of ${length} bytes`);
    if (unread.length < 4 + length) return;
    const frame = unread.subarray(4, 4 + length);
    unread = unread.subarray(4 + length);
    let read;
    try {
      read = JSON.parse(frame);
    } catch {
      return fail("a frame that is no JSON");
    }
    heard(read);
  }
});

const channels = new Map();

function heard(frame) {
  if (frame.t === "ping") return say({ t: "pong", n: frame.n });
  if (frame.t === "open") {
    channels.set(frame.s, new Channel(frame));
    return;
  }
  channels.get(frame.s)?.heard(frame);
}

// --- keys -------------------------------------------------------------------------------------------------------

const asText = (value) => JSON.stringify(value, baileys.BufferJSON.replacer);
const asValue = (text) => JSON.parse(text, baileys.BufferJSON.reviver);
// What reading a message may change: kept with the message, in one step.
const OF_READING = new Set(["session", "identity-key", "sender-key"]);

class Keys {
  constructor(channel) {
    this.channel = channel;
    this.known = new Map();
    this.gathered = null;
    this.inside = new AsyncLocalStorage();
    this.last = Promise.resolve();
  }

  async get(kind, ids) {
    const found = {};
    const missing = ids.filter((id) => !this.known.has(`${kind}.${id}`));
    if (missing.length) {
      const kept = await this.channel.ask({ t: "get", kind, ids: missing });
      for (const id of missing)
        if (!this.known.has(`${kind}.${id}`) && kept[id] !== undefined) this.known.set(`${kind}.${id}`, kept[id]);
    }
    for (const id of ids) {
      const text = this.known.get(`${kind}.${id}`);
      if (text === undefined || text === null) continue;
      const value = asValue(text);
      found[id] =
        kind === "app-state-sync-key" ? baileys.proto.Message.AppStateSyncKeyData.fromObject(value) : value;
    }
    return found;
  }

  async set(data) {
    const now = [];
    for (const kind in data)
      for (const id in data[kind]) {
        const value = data[kind][id];
        const text = value === null || value === undefined ? null : asText(value);
        const ofReading = OF_READING.has(kind) || (kind === "pre-key" && text === null);
        this.known.set(`${kind}.${id}`, text);
        if (this.gathered && ofReading) this.gathered.push([kind, id, text]);
        else now.push([kind, id, text]);
      }
    if (now.length) this.channel.changed(now);
  }

  clear() {}

  // One thing at a time for a device, whoever it is with; what is done within goes on within.
  transaction(work) {
    if (this.inside.getStore()) return work();
    const done = this.last.then(() => this.inside.run(true, work));
    this.last = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  isInTransaction() {
    return Boolean(this.inside.getStore());
  }
}

// --- one session ------------------------------------------------------------------------------------------------

const never = new Promise(() => {});
const silent = { level: "silent", child: () => silent };
for (const name of ["trace", "debug", "info", "warn", "error", "fatal"]) silent[name] = () => {};

class Channel {
  constructor({ s, creds, url, version, browser }) {
    this.s = s;
    this.muted = false;
    this.asked = new Map();
    this.number = 0;
    this.made = this.durable = this.committing = 0;
    this.waiting = [];
    this.sealing = 0;
    this.unsavedCreds = false;
    this.nodes = new WeakMap();
    this.sent = new Map();
    this.groups = new Map();
    this.given = new Map(); // keys of groups that are on their way, by message
    this.typing = new Map(); // what ends it, by chat
    this.keys = new Keys(this);
    this.creds = creds ? asValue(creds) : baileys.initAuthCreds();
    this.begin(url, version, browser);
  }

  begin(url, version, browser) {
    this.devices = knownDevices();
    const sock = (this.sock = baileys.makeWASocket({
      waWebSocketUrl: url,
      ...(version ? { version } : {}),
      ...(browser ? { browser } : {}),
      auth: { creds: this.creds, keys: { get: (...a) => this.keys.get(...a), set: (d) => this.keys.set(d) } },
      logger: silent,
      markOnlineOnConnect: false,
      syncFullHistory: false,
      getMessage: async (key) => this.sent.get(key.id) ?? (await this.sentBefore(key.id)),
      userDevicesCache: this.devices,
      makeSignalRepository: (_, logger, toLid) => this.repository(logger, toLid),
    }));
    this.delayClose(sock.ws);
    this.guard(sock.ws);
    sock.ws.on("CB:message", (node) => this.remember(node));
    sock.ws.on("CB:ack,class:message", ({ attrs }) => {
      void this.keyGiven(attrs.id, attrs.error);
      this.say({ t: "ack", id: attrs.id, error: attrs.error });
    });
    const forget = (told) => [told].flat().forEach(({ id }) => this.groups.delete(id));
    for (const change of ["groups.update", "groups.upsert", "group-participants.update"]) sock.ev.on(change, forget);
    sock.ws.on("frame", (node) => this.lookForPasskey(node));
    sock.ev.on("creds.update", (update) => this.credsChanged(update));
    sock.ev.on("connection.update", (update) => this.connection(update));
  }

  say(frame) {
    if (!this.muted) say({ ...frame, s: this.s });
  }

  ask(frame) {
    if (this.muted) return never;
    const n = ++this.number;
    return new Promise((resolve) => {
      this.asked.set(n, resolve);
      this.say({ ...frame, n });
    });
  }

  heard(frame) {
    switch (frame.t) {
      case "answer":
        this.asked.get(frame.n)?.(frame.value);
        this.asked.delete(frame.n);
        return;
      case "received":
        return this.isDurable(frame.step);
      case "seal":
        return void this.seal(frame);
      case "transmit":
        this.isDurable(frame.step);
        this.sock.sendRawMessage(Buffer.from(frame.frame, "base64")).catch(() => {});
        return;
      case "code":
        return void this.sock.requestPairingCode(frame.phone).then(
          (code) => this.say({ t: "code", n: frame.n, code }),
          (error) => this.say({ t: "code", n: frame.n, error: String(error?.message) }),
        );
      case "show":
        return void this.show(frame).then(
          () => this.say({ t: "shown", n: frame.n }),
          (error) => this.say({ t: "shown", n: frame.n, error: String(error?.message ?? error) }),
        );
      case "media":
        return void this.sock.refreshMediaConn(frame.anew).then(
          ({ auth, hosts }) => this.say({ t: "media", n: frame.n, auth, hosts: hosts.map(({ hostname }) => hostname) }),
          (error) => this.say({ t: "media", n: frame.n, error: String(error?.message ?? error) }),
        );
      case "logout":
        return void this.sock.logout().catch(() => {});
      case "close":
        return this.mute();
    }
  }

  // Nothing leaves any more, not even an end of the connection that says why.
  mute() {
    this.muted = true;
    channels.delete(this.s);
    this.sock.ev.removeAllListeners("connection.update");
    this.sock.ws.socket?.terminate();
    this.sock.end(undefined).catch(() => {});
    this.typing.forEach(clearTimeout);
  }

  // --- durability

  changed(keys) {
    this.say({ t: "changed", keys });
    this.step();
  }

  credsChanged(update) {
    Object.assign(this.creds, update);
    if (!this.unsavedCreds) this.credsStep = this.made + 1;
    this.unsavedCreds = true;
    this.step();
  }

  step() {
    this.made += 1;
    if (!this.sealing) setTimeout(() => void this.untilDurable(this.made), COMMIT_WITHIN_MS);
  }

  isDurable(step) {
    const known = this.unsavedCreds ? Math.min(step, this.credsStep - 1) : step;
    this.durable = Math.max(this.durable, known);
    this.waiting = this.waiting.filter(({ step, resolve }) => step > this.durable || (resolve(), false));
  }

  untilDurable(step) {
    if (step <= this.durable) return Promise.resolve();
    const done = new Promise((resolve) => this.waiting.push({ step, resolve }));
    if (step > this.committing) void this.commit();
    return done;
  }

  async commit() {
    const step = (this.committing = this.made);
    const creds = this.unsavedCreds ? asText(this.creds) : undefined;
    this.unsavedCreds = false;
    await this.ask({ t: "commit", creds, paired: Boolean(this.creds.account) });
    this.isDurable(step);
  }

  // What goes to the socket goes in its order, each frame once all that changed before it is durable.
  guard(ws) {
    let before = Promise.resolve();
    const { socket } = ws; // Baileys took the method of `ws` itself before anybody could
    const send = socket.send.bind(socket);
    socket.send = (bytes, sent) => {
      const step = this.made;
      before = before.then(async () => {
        await this.untilDurable(step);
        if (this.muted) return never;
        send(bytes, sent);
      });
    };
  }

  delayClose(ws) {
    const emit = ws.emit.bind(ws);
    ws.emit = (event, ...given) => {
      if (event !== "close") return emit(event, ...given);
      setTimeout(() => emit("close", ...given), REASON_WITHIN_MS);
      return true;
    };
  }

  // --- what comes in

  repository(logger, toLid) {
    const { makeSignalRepository } = baileys.DEFAULT_CONNECTION_CONFIG;
    const made = makeSignalRepository({ creds: this.creds, keys: this.keys }, logger, toLid);
    const one = made.decryptMessage.bind(made);
    const group = made.decryptGroupMessage.bind(made);
    made.decryptMessage = (given) => this.read(given.ciphertext, () => one(given));
    made.decryptGroupMessage = (given) => this.read(given.msg, () => group(given));
    return made;
  }

  remember(node) {
    for (const { tag, content } of Array.isArray(node.content) ? node.content : [])
      if (tag === "enc" && content instanceof Uint8Array) this.nodes.set(content, node);
  }

  read(ciphertext, decrypt) {
    return this.keys.transaction(async () => {
      const node = this.nodes.get(ciphertext);
      const id = node?.attrs.id ?? "";
      const digest = createHash("sha256").update(ciphertext).digest("base64url");
      if (await this.ask({ t: "had", id, digest })) return baileys.encodeWAMessage({});
      this.keys.gathered = [];
      let padded;
      try {
        padded = await decrypt();
      } catch (error) {
        const changed = this.keys.gathered;
        this.keys.gathered = null;
        if (changed.length) this.changed(changed);
        throw error;
      }
      const keys = this.keys.gathered;
      this.keys.gathered = null;
      this.made += 1;
      const step = this.made;
      this.say({ t: "arrived", step, keys, id, digest, ...this.described(node, padded) });
      // The instance writes it by itself, and says so.
      if (!this.unsavedCreds) this.committing = Math.max(this.committing, step);
      await this.untilDurable(step);
      return padded;
    });
  }

  described(node, padded) {
    const attrs = node?.attrs ?? {};
    const told = { from: attrs.from ?? "", at: Number(attrs.t ?? 0), text: null };
    let message;
    try {
      message = baileys.proto.Message.decode(baileys.unpadRandomMax16(padded));
    } catch {
      return told; // Baileys asks for it once more; the ratchet has moved all the same
    }
    if (message.deviceSentMessage) return told; // our own, said by another device of ours
    const said = baileys.normalizeMessageContent(message) ?? {};
    const isGroup = attrs.from?.endsWith("@g.us");
    const phone = isGroup ? attrs.from : (attrs.sender_pn ?? attrs.from ?? "");
    return { ...told, from: phone, text: textOf(said), file: fileOf(said) };
  }

  // --- what goes out

  async seal({ n, id, to, text, content, file }) {
    this.sealing += 1;
    try {
      const message = file ? fileMessage(content, file, to) : await written(text, content, to);
      const frame = to.endsWith("@g.us") ? await this.sealedForGroup(id, to, message) : await this.sealed(id, to, message);
      this.sent.set(id, message);
      if (this.sent.size > SENT_KEPT) this.sent.delete(this.sent.keys().next().value);
      const { Message } = baileys.proto;
      this.changed([["sent", id, Buffer.from(Message.encode(Message.fromObject(message)).finish()).toString("base64")]]);
      this.say({ t: "sealed", n, frame: Buffer.from(frame).toString("base64"), step: this.made });
    } catch (error) {
      const refused = error instanceof Refused;
      const code = Number(error?.output?.statusCode) || undefined;
      this.say({ t: "sealed", n, refused, code, error: String(error?.message ?? error) });
    } finally {
      this.sealing -= 1;
      const step = this.made;
      setTimeout(() => void this.untilDurable(step), 10 * COMMIT_WITHIN_MS);
    }
  }

  // What this process does not remember, or another one sent.
  async sentBefore(id) {
    const { [id]: kept } = await this.ask({ t: "get", kind: "sent", ids: [id] });
    return kept === undefined ? undefined : baileys.proto.Message.decode(Buffer.from(kept, "base64"));
  }

  async sealed(id, to, message) {
    const { jidDecode, jidEncode, isLidUser } = baileys;
    const { sock } = this;
    const me = this.creds.me;
    const lid = isLidUser(to);
    const own = lid && me.lid ? jidEncode(jidDecode(me.lid).user, "lid") : jidEncode(jidDecode(me.id).user, "s.whatsapp.net");
    const users = [jidDecode(me.id).user, me.lid && jidDecode(me.lid).user];
    const devices = await this.devicesOf([own, to]);
    const recipients = devices.filter(({ jid }) => jid !== me.id && jid !== me.lid);
    const mine = recipients.filter(({ user }) => users.includes(user)).map(({ jid }) => jid);
    const others = recipients.filter(({ user }) => !users.includes(user)).map(({ jid }) => jid);
    if (!others.length && !mine.length) throw new Refused("the recipient has no device that can be written to");
    await sock.assertSessions([...mine, ...others], false);
    const copy = { deviceSentMessage: { destinationJid: to, message }, messageContextInfo: message.messageContextInfo };
    const how = howShown(message);
    const toMine = await sock.createParticipantNodes(mine, copy, how);
    const toOthers = await sock.createParticipantNodes(others, message, how);
    // A device that could not be encrypted for is left out without a word: then this would be lost to somebody.
    if (toMine.nodes.length !== mine.length || toOthers.nodes.length !== others.length)
      throw new Error("not every device could be encrypted for");
    const stanza = {
      tag: "message",
      attrs: { id, to, type: kindOf(message), ...changeOf(message) },
      content: [{ tag: "participants", attrs: {}, content: [...toMine.nodes, ...toOthers.nodes] }],
    };
    if (toMine.shouldIncludeDeviceIdentity || toOthers.shouldIncludeDeviceIdentity) {
      const content = baileys.encodeSignedDeviceIdentity(this.creds.account, true);
      stanza.content.push({ tag: "device-identity", attrs: {}, content });
    }
    const token = await this.token(to);
    if (token?.length) stanza.content.push({ tag: "tctoken", attrs: {}, content: token });
    return baileys.encodeBinaryNode(stanza);
  }

  // One ciphertext for all, under this device's key of the group; the key goes along to each device that has not been
  // seen to have it.
  async sealedForGroup(id, to, message) {
    const { sock } = this;
    const { me } = this.creds;
    const group = await this.group(to);
    const own = group.addressingMode === "pn" || !me.lid ? me.id : me.lid;
    const members = group.participants.map((each) => baileys.jidNormalizedUser(each.id));
    const devices = (await this.devicesOf(members)).map(({ jid }) => jid).filter((jid) => jid !== me.id && jid !== me.lid);
    const { [to]: had = {} } = await this.keys.get("sender-key-memory", [to]);
    const fresh = devices.filter((jid) => !had[jid]);
    await sock.assertSessions(fresh, false);
    const data = baileys.encodeWAMessage(message);
    const { encryptGroupMessage } = sock.signalRepository;
    const { ciphertext, senderKeyDistributionMessage: key } = await encryptGroupMessage({ group: to, meId: own, data });
    const brought = { senderKeyDistributionMessage: { axolotlSenderKeyDistributionMessage: key, groupId: to } };
    const { nodes, shouldIncludeDeviceIdentity } = await sock.createParticipantNodes(fresh, brought, {});
    if (nodes.length !== fresh.length) throw new Error("not every device could be encrypted for");
    const content = [{ tag: "enc", attrs: { v: "2", type: "skmsg", ...howShown(message) }, content: ciphertext }];
    if (nodes.length) content.unshift({ tag: "participants", attrs: {}, content: nodes });
    if (shouldIncludeDeviceIdentity)
      content.push({ tag: "device-identity", attrs: {}, content: baileys.encodeSignedDeviceIdentity(this.creds.account, true) });
    const attrs = { id, to, type: kindOf(message), addressing_mode: group.addressingMode ?? "lid", ...changeOf(message) };
    this.given.set(id, { group: to, devices });
    return baileys.encodeBinaryNode({ tag: "message", attrs, content });
  }

  // WhatsApp has the message, and with it those devices the key.
  async keyGiven(id, error) {
    const given = this.given.get(id);
    this.given.delete(id);
    if (!given || error) return;
    const { [given.group]: had = {} } = await this.keys.get("sender-key-memory", [given.group]);
    if (given.devices.every((jid) => had[jid])) return;
    const now = { ...had, ...Object.fromEntries(given.devices.map((jid) => [jid, true])) };
    await this.keys.set({ "sender-key-memory": { [given.group]: now } });
  }

  async group(jid) {
    const known = this.groups.get(jid);
    if (known && Date.now() - known.at < GROUP_KNOWN_MS) return known.value;
    const value = await this.sock.groupMetadata(jid).catch((error) => {
      if ([403, 404, 406].includes(Number(error?.data))) throw new Refused("the account is in no such group");
      throw error;
    });
    this.groups.set(jid, { at: Date.now(), value });
    return value;
  }

  // As Baileys' own question for devices, which renews the session with everybody whom it asks about. Here a chat goes
  // on in the session that it has, under the hidden identity where that has become known.
  async devicesOf(jids) {
    const { jidDecode, jidEncode, USyncQuery, USyncUser } = baileys;
    const users = jids.map((jid) => jidDecode(jid).user);
    const missing = jids.filter((_, place) => !this.devices.get(users[place]));
    if (missing.length) {
      const query = new USyncQuery().withContext("message").withDeviceProtocol().withLIDProtocol();
      for (const jid of missing) query.withUser(new USyncUser().withId(jid));
      const result = await this.sock.executeUSyncQuery(query);
      await this.devicesTold(result?.list ?? []);
    }
    const found = users.flatMap((user) => this.devices.get(user) ?? []);
    return found.map((each) => ({ ...each, jid: jidEncode(each.user, each.server, each.device) }));
  }

  async devicesTold(list) {
    const { id, lid } = this.creds.me;
    const told = {};
    for (const each of baileys.extractDeviceJids(list, id, lid, false)) (told[each.user] ??= []).push(each);
    for (const user in told) this.devices.set(user, told[user]);
    const numbers = Object.entries(told).map(([user, of]) => [user, of.map(({ device }) => String(device ?? 0))]);
    if (numbers.length) await this.keys.set({ "device-list": Object.fromEntries(numbers) });
    const { lidMapping, migrateSession } = this.sock.signalRepository;
    for (const { id: pn, lid: hidden } of list) {
      if (!hidden || !baileys.isPnUser(pn)) continue;
      const { user } = baileys.jidDecode(pn);
      const { [user]: known } = await this.keys.get("lid-mapping", [user]);
      if (known !== baileys.jidDecode(hidden).user) await lidMapping.storeLIDPNMappings([{ lid: hidden, pn }]);
      await migrateSession(pn, hidden); // one of Baileys 6 may be under the number still
    }
  }

  async token(to) {
    if (!this.sock.serverProps?.privacyTokenOn1to1) return undefined;
    const at = (await this.sock.signalRepository.lidMapping.getLIDForPN(to).catch(() => null)) ?? to;
    const { [at]: kept } = await this.keys.get("tctoken", [at]);
    return kept?.token;
  }

  // --- what a chat sees beside messages

  async show({ read, typing, for_ms: forMs }) {
    if (read) return this.sock.readMessages(read.map(({ participant, ...key }) => (participant ? { ...key, participant } : key)));
    clearTimeout(this.typing.get(typing));
    this.typing.delete(typing);
    if (forMs > 0) this.typing.set(typing, setTimeout(() => void this.show({ typing, for_ms: 0 }).catch(() => {}), forMs));
    return this.sock.sendPresenceUpdate(forMs > 0 ? "composing" : "paused", typing);
  }

  // --- how it stands

  connection({ connection, qr, lastDisconnect }) {
    if (qr) this.say({ t: "qr", qr });
    if (connection === "open") this.say({ t: "open", id: this.creds.me?.id, lid: this.creds.me?.lid });
    if (connection !== "close") return;
    const error = lastDisconnect?.error;
    const why = String(error?.message ?? "closed");
    this.say({ t: "closed", code: this.passkey ? "passkey" : (error?.output?.statusCode ?? null), why });
    this.muted = true;
    channels.delete(this.s);
    this.typing.forEach(clearTimeout);
  }

  lookForPasskey(node) {
    if (this.creds.account || !node?.tag) return;
    const children = Array.isArray(node.content) ? node.content.map(({ tag }) => tag) : [];
    if ([node.tag, node.attrs?.type ?? "", ...children].some((word) => String(word).includes("passkey"))) {
      this.passkey = true;
      this.sock.end(new Error("this account can be linked with a passkey only")).catch(() => {});
    }
  }
}

// --- messages ---------------------------------------------------------------------------------------------------

class Refused extends Error {}

function knownDevices() {
  const known = new Map();
  return {
    get: (user) => {
      const kept = known.get(user);
      return kept && Date.now() - kept.at < DEVICES_KNOWN_MS ? kept.value : undefined;
    },
    set: (user, value) => void known.set(user, { at: Date.now(), value }),
    del: (user) => void known.delete(user),
    flushAll: () => known.clear(),
  };
}

const jid = (address) => (address.includes("@") ? address : `${address}@s.whatsapp.net`);

function textOf(message) {
  if (message.protocolMessage || message.reactionMessage || message.pollUpdateMessage) return null;
  const captioned = message.imageMessage ?? message.videoMessage ?? message.documentMessage;
  const text = message.conversation || message.extendedTextMessage?.text || captioned?.caption;
  if (text) return text;
  const place = message.locationMessage;
  if (place) return place.name || `${place.degreesLatitude}, ${place.degreesLongitude}`;
  const media = captioned ?? message.audioMessage ?? message.stickerMessage;
  return media || message.contactMessage || message.pollCreationMessage ? "" : null;
}

function kindOf(message) {
  if (message.pollCreationMessage || message.pollCreationMessageV2 || message.pollCreationMessageV3) return "poll";
  if (message.reactionMessage) return "reaction";
  return mediaTypeOf(message) ? "media" : "text";
}

// As Baileys names it (Socket/messages-send.js, getMediaType).
function mediaTypeOf(message) {
  if (message.imageMessage) return "image";
  if (message.videoMessage) return "video";
  if (message.audioMessage) return message.audioMessage.ptt ? "ptt" : "audio";
  if (message.documentMessage) return "document";
  if (message.stickerMessage) return "sticker";
  return message.contactMessage ? "vcard" : "";
}

function howShown(message) {
  const mediatype = mediaTypeOf(message);
  return {
    ...(message.reactionMessage || message.pinInChatMessage ? { "decrypt-fail": "hide" } : {}),
    ...(mediatype ? { mediatype } : {}),
  };
}

const FILES = {
  image: "imageMessage",
  video: "videoMessage",
  audio: "audioMessage",
  voice: "audioMessage",
  document: "documentMessage",
  sticker: "stickerMessage",
};

// A file that WhatsApp has, in a message. There is no small picture of it to show before it is fetched.
function fileMessage(content, file, to) {
  const name = FILES[content.type];
  if (!name) throw new Refused(`this engine cannot send a file as ${content.type}`);
  const bytes = (text) => Buffer.from(text, "base64");
  const mime = content.media?.mime_type ?? "application/octet-stream";
  const contextInfo = contextOf(content, to);
  const found = {
    url: file.url ?? undefined,
    directPath: file.direct_path,
    mediaKey: bytes(file.key),
    mediaKeyTimestamp: Math.floor(Date.now() / 1000),
    fileSha256: bytes(file.sha256),
    fileEncSha256: bytes(file.sealed_sha256),
    fileLength: file.size,
    mimetype: content.type === "voice" && mime === "audio/ogg" ? "audio/ogg; codecs=opus" : mime,
    ...(content.type === "voice" ? { ptt: true } : {}),
    ...(content.type === "document" ? { fileName: content.file_name ?? "file", title: content.file_name ?? "file" } : {}),
    ...(content.caption ? { caption: content.caption } : {}),
    ...(contextInfo ? { contextInfo } : {}),
  };
  return { [name]: found };
}

// By what the file of a message is found and opened.
function fileOf(message) {
  for (const kind of ["image", "video", "audio", "document", "sticker"]) {
    const found = message[FILES[kind]];
    if (!found?.directPath || !found.mediaKey?.length) continue;
    const { directPath, mediaKey, mimetype, fileName } = found;
    const key = Buffer.from(mediaKey).toString("base64");
    return { kind, direct_path: directPath, key, mime_type: mimetype ?? "", file_name: fileName ?? "" };
  }
  return undefined;
}

function changeOf({ protocolMessage }) {
  if (protocolMessage?.editedMessage) return { edit: "1" };
  return protocolMessage?.type === baileys.proto.Message.ProtocolMessage.Type.REVOKE ? { edit: "7" } : {};
}

async function written(text, content, to) {
  if (content === null || content.type === "text") return textMessage(content?.text ?? text, content, to);
  const keyOf = (ref) => ({
    remoteJid: to,
    id: ref.id,
    fromMe: ref.from_me,
    ...(ref.participant ? { participant: jid(ref.participant) } : {}),
  });
  const wanted = {
    location: () => ({
      location: { degreesLatitude: content.latitude, degreesLongitude: content.longitude, name: content.name, address: content.address },
    }),
    contact: () => ({ contacts: { displayName: content.name, contacts: [{ displayName: content.name, vcard: cardOf(content) }] } }),
    reaction: () => ({ react: { text: content.emoji ?? "", key: keyOf(content.target) } }),
    edit: () => ({ text: content.text, edit: keyOf(content.target) }),
    revoke: () => ({ delete: keyOf(content.target) }),
    poll: () => ({ poll: { name: content.question, values: content.options, selectableCount: content.selectable ?? 1 } }),
  }[content.type];
  if (!wanted) throw new Refused(`this engine cannot send a message of type ${content.type}`);
  return baileys.generateWAMessageContent(wanted(), { logger: silent, userJid: to });
}

// A card as phones write it. What stands in a line of its own must not begin another one.
function cardOf({ name, phone, organisation }) {
  const plain = (text) => String(text).replace(/[\\;,]/g, (each) => `\\${each}`).replace(/[\r\n]+/g, " ");
  const of = organisation ? [`ORG:${plain(organisation)};`] : [];
  const number = `TEL;type=CELL;type=VOICE;waid=${phone}:+${phone}`;
  return ["BEGIN:VCARD", "VERSION:3.0", `FN:${plain(name)}`, ...of, number, "END:VCARD"].join("\n");
}

function textMessage(text, content, to) {
  const contextInfo = contextOf(content, to);
  return contextInfo ? { extendedTextMessage: { text, contextInfo } } : { conversation: text };
}

// What a message says of others and of other messages; undefined where it is nothing.
function contextOf(content, to) {
  const quoted = content?.reply_to;
  const mentioned = content?.mentions?.map(jid) ?? [];
  if (!quoted && !mentioned.length) return undefined;
  return {
    ...(mentioned.length ? { mentionedJid: mentioned } : {}),
    ...(quoted
      ? { stanzaId: quoted.id, participant: quoted.participant ? jid(quoted.participant) : to, quotedMessage: {} }
      : {}),
  };
}

const { version } = JSON.parse(await (await import("node:fs/promises")).readFile(`${baileysAt}/package.json`, "utf8"));
say({ t: "hello", protocol: PROTOCOL, baileys: version, node: process.version });

// A program that uses Baileys as it comes, with its multi-file state in a folder: is linked, writes, is written to, ends.
// node stock_client.mjs BAILEYS '{"address", "url", "root_key"}' FOLDER OWN_PHONE OTHER_PHONE
for (const name of ["log", "info", "warn", "error", "debug", "trace"]) console[name] = () => {}; // private keys
const { pathToFileURL } = await import("node:url");
const [at, given, folder, own, other] = process.argv.slice(2);
const baileys = await import(pathToFileURL(`${at}/lib/index.js`).href);
const info = JSON.parse(given);
baileys.WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(info.root_key, "hex");
const { state, saveCreds } = await baileys.useMultiFileAuthState(folder);
const silent = { level: "silent", child: () => silent };
for (const name of ["trace", "debug", "info", "warn", "error", "fatal"]) silent[name] = () => {};
const admin = (name, order) => fetch(`http://${info.address}/admin/${name}`, { method: "POST", body: JSON.stringify(order) });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const heard = [];

function connect(wanted) {
  const sock = baileys.makeWASocket({
    waWebSocketUrl: `${info.url}?holder=stock`,
    auth: state,
    logger: silent,
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => false,
  });
  sock.ev.on("creds.update", saveCreds);
  sock.ev.on("messages.upsert", ({ messages }) => heard.push(...messages.map((each) => each.message?.conversation)));
  return new Promise((done) => sock.ev.on("connection.update", (update) => wanted(update, sock) && done(sock)));
}

await connect((update) => {
  if (update.qr) void admin("scan", { qr: update.qr, phone: own });
  return update.connection === "close";
});
const sock = await connect((update) => update.connection === "open");
await sock.sendMessage(`${other}@s.whatsapp.net`, { text: "from the old program" });
await admin("write", { from: other, to: own, text: "to the old program" });
await admin("write", { from: own, to: other, text: "by the phone itself" });
while (!heard.includes("to the old program") || !heard.includes("by the phone itself")) await pause(50);
await sock.sendMessage(`${other}@s.whatsapp.net`, { text: "the old program's last" });
await pause(1000); // its keys reach the disk
process.exit(0);

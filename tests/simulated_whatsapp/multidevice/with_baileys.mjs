// What Baileys 7, which nobody changed, makes of the simulated WhatsApp: one line for each thing seen, `ok` or `FAIL`.
// node with_baileys.mjs '{"address", "url", "root_key"}', with `baileys` and `pino` in a node_modules beside it.
import makeWASocket, { BufferJSON, WA_CERT_DETAILS, downloadMediaMessage, initAuthCreds } from 'baileys'
import pino from 'pino'
import { randomBytes } from 'crypto'

const info = JSON.parse(process.argv[2])
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(info.root_key, 'hex')
console.info = console.warn = console.error = () => {} // libsignal prints whole sessions
const [ANA, BEN, CEM] = ['628111', '628222', '628333']
const jid = number => `${number}@s.whatsapp.net`
const logger = pino({ level: 'silent' })

const pause = ms => new Promise(done => setTimeout(done, ms))
const seen = (name, right, more = '') => console.log(right ? 'ok' : 'FAIL', name, right ? '' : JSON.stringify(more))
const admin = async (name, order) => {
  const answer = await fetch(`http://${info.address}/admin/${name}`, order && { method: 'POST', body: JSON.stringify(order) })
  const told = await answer.json()
  if (!answer.ok) throw new Error(told.reason)
  return told
}
const ledger = async event => (await admin('ledger?after=0')).lines.filter(line => line.event === event)
const until = async (found, ms = 20000) => {
  for (const end = Date.now() + ms; Date.now() < end; await pause(50)) {
    const value = await found()
    if (value) return value
  }
}
const shown = (id, number) => until(async () => (await ledger('shown')).find(line => line.message_id === id && line.recipient === number))

const emptyKeys = () => {
  const kept = {}
  const get = async (type, ids) => {
    const found = ids.filter(id => kept[`${type}-${id}`])
    return Object.fromEntries(found.map(id => [id, JSON.parse(kept[`${type}-${id}`], BufferJSON.reviver)]))
  }
  const set = async data => {
    for (const type in data) {
      for (const id in data[type]) kept[`${type}-${id}`] = data[type][id] && JSON.stringify(data[type][id], BufferJSON.replacer)
    }
  }
  return { kept, get, set }
}
const fresh = () => ({ creds: initAuthCreds(), keys: emptyKeys(), inbox: [] })
const text = message => message.message?.conversation ?? message.message?.extendedTextMessage?.text
const heard = (device, words) => until(() => device.inbox.find(message => text(message) === words))

const connect = (device, label = '') => {
  const auth = { creds: device.creds, keys: device.keys }
  // Without history there is nothing to wait for: else messages may be held back for 20 s after a login.
  const quick = { syncFullHistory: false, shouldSyncHistoryMessage: () => false }
  const socket = makeWASocket({ waWebSocketUrl: info.url + label, auth, logger, ...quick })
  socket.ev.on('creds.update', update => Object.assign(device.creds, update))
  socket.ev.on('messages.upsert', ({ messages }) => device.inbox.push(...messages))
  device.socket = socket
  device.ended = new Promise(done => {
    const on = update => update.connection === 'close' && done(update.lastDisconnect.error.output.statusCode)
    socket.ev.on('connection.update', on)
  })
  return (condition) => new Promise(done => socket.ev.on('connection.update', update => condition(update) && done(update)))
}
const login = async (device, label) => connect(device, label)(update => update.connection === 'open')
const linked = async number => {
  const device = fresh()
  const { qr } = await connect(device)(update => update.qr)
  await admin('scan', { qr, phone: number })
  seen(`${number} is linked by its code`, (await device.ended) === 515)
  await login(device, '?holder=check&epoch=1')
  return device
}

const linkedByCode = async () => {
  const device = fresh()
  await connect(device)(update => update.qr)
  const code = await device.socket.requestPairingCode(CEM)
  await pause(300)
  await admin('enter-code', { code, phone: CEM })
  seen('a typed code links', (await device.ended) === 515)
}

const messages = async (ana, ben) => {
  const first = await ana.socket.sendMessage(jid(BEN), { text: 'to phone and device' })
  seen('a phone shows a message', await shown(first.key.id, BEN))
  seen('a linked device reads it', await heard(ben, 'to phone and device'))
  await ben.socket.sendMessage(jid(ANA), { text: 'and back' })
  seen('it answers', await heard(ana, 'and back'))
  await admin('write', { from: BEN, to: ANA, text: 'from a phone' })
  seen('what a phone writes is read', await heard(ana, 'from a phone'))
  await admin('forget-sessions', { phone: BEN })
  const again = await ana.socket.sendMessage(jid(BEN), { text: 'lost sessions' })
  seen('a phone that lost its sessions gets it again', await shown(again.key.id, BEN))
  for (const key in ana.keys.kept) if (key.startsWith('session-')) delete ana.keys.kept[key]
  await admin('write', { from: BEN, to: ANA, text: 'lost here' })
  seen('a device that lost its sessions gets it again', await heard(ana, 'lost here'))
  const file = await ana.socket.sendMessage(jid(BEN), { document: randomBytes(6000), mimetype: 'a/b', fileName: 'x' })
  seen('a file is sent', (await shown(file.key.id, BEN))?.kind === 'document')
  seen('and fetched', (await downloadMediaMessage(file, 'buffer', {})).length === 6000)
  const many = await Promise.all([...Array(20).keys()].map(each => ana.socket.sendMessage(jid(BEN), { text: `many ${each}` })))
  seen('twenty at once are shown', (await Promise.all(many.map(each => shown(each.key.id, BEN)))).every(Boolean))
}

const groups = async (ana, ben) => {
  const group = await ana.socket.groupCreate('A group', [jid(BEN), jid(CEM)])
  const said = await ana.socket.sendMessage(group.id, { text: 'to the group' })
  seen('all phones of a group show it', (await Promise.all([ANA, BEN, CEM].map(each => shown(said.key.id, each)))).every(Boolean))
  seen('a device of a group reads it', await heard(ben, 'to the group'))
  await admin('write', { from: CEM, to: group.id, text: 'from the group' })
  seen('what a phone writes to a group is read', await heard(ana, 'from the group'))
}

const endings = async ana => {
  for (const [why, code] of [['restart', 515], ['unavailable', 503], ['cut', 428]]) {
    await admin('end', { device: `${ANA}:1`, why })
    const got = await ana.ended
    seen(`the end ${why} is ${code}`, got === code, got)
    await admin('write', { from: BEN, to: ANA, text: `while away: ${why}` })
    await login(ana)
    seen('what came while away is read', await heard(ana, `while away: ${why}`))
  }
  const replaced = ana.ended
  await login(ana, '?holder=other')
  seen('a newcomer replaces the incumbent', (await replaced) === 440, await replaced)
  await admin('remove-device', { device: `${ANA}:1` })
  seen('a removed device is told', (await ana.ended) === 401)
  connect(ana)
  seen('and refused', (await ana.ended) === 401)
}

await linkedByCode()
const [ana, ben] = [await linked(ANA), await linked(BEN)]
await messages(ana, ben)
await groups(ana, ben)
await endings(ana)
console.log('done')
process.exit(0)

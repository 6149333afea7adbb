/** Long ranges, in each way that they are received: from servers that answer as they are told. */
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import type { HttpOptions } from '../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { listenFor, type Way, waysToReceive } from '../fixtures/receiving.ts'
import { until } from '../fixtures/until.ts'

const image = Buffer.from(Array.from({ length: 2 ** 20 }, (_, k) => (k * 7 + (k >> 8)) % 251))
const { signal } = new AbortController()

/** Fate of one request. */
type Answer = (body: Buffer, head: string, socket: Socket) => void

const right: Answer = (body, head, socket) => {
  socket.write(head)
  socket.write(body)
}

/** A server that gives each request the next answer, and right ones after that. */
async function serve(t: Test, { receiver, identity }: Way, answers: Answer[], options: Partial<HttpOptions>) {
  const seen = { connections: 0 }
  const sockets = new Set<Socket>()
  const { url, server } = await listenFor(identity, socket => {
    seen.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', bytes => {
      const [, first, last] = /range: bytes=(\d+)-(\d+)/.exec(bytes.toString('latin1'))!.map(Number)
      const range = `Content-Range: bytes ${first}-${last}/${image.length}\r\nContent-Length: ${last! - first! + 1}`
      const head = `HTTP/1.1 206 Partial Content\r\nETag: "v"\r\n${range}\r\n\r\n`
      ;(answers.shift() ?? right)(image.subarray(first, last! + 1), head, socket)
    })
  })
  const origin = new HttpOrigin(url, { inPlaceBytesMin: 1, receiver, ca: identity?.cert ?? null, ...options })
  const facts = { origin: origin.url, key: 'a', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
  const readInto = (target: Uint8Array, offset: number, own = signal) =>
    origin.read(identify(facts), offset, target, { signal: own })
  const read = async (offset: number, length: number, own = signal) => {
    const target = new Uint8Array(length)
    await readInto(target, offset, own)
    return image.subarray(offset, offset + length).equals(Buffer.from(target))
  }
  t.teardown(async () => {
    await origin.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { origin, read, readInto, seen }
}

for (const way of [{ by: 'by undici', receiver: null, identity: null }, ...waysToReceive(t)]) {
  const { by } = way
  const serving = (t: Test, answers: Answer[], options: Partial<HttpOptions> = {}) => serve(t, way, answers, options)

  t.test(`${by}: many at once, and one after the other`, async t => {
    const { read, seen } = await serving(t, [])
    const reads = Array.from({ length: 60 }, (_, k) => read(k * 17_000, 17_001))
    t.ok((await Promise.all(reads)).every(Boolean))
    const { connections } = seen
    for (let k = 0; k < 10; k++) t.ok(await read(k * 100_000, 100_000))
    t.equal(seen.connections, connections, 'on connections that were kept')
  })

  t.test(
    `${by}: an answer that is another version is not served, and writes nothing once it has been refused`,
    async t => {
      const changed: Answer = (body, head, socket) => {
        socket.write(Buffer.concat([Buffer.from(head.replace('"v"', '"w"')), Buffer.alloc(body.length - 1, 0xee)]))
      }
      const { read, readInto } = await serving(t, [changed])
      const target = new Uint8Array(2 ** 20)
      await t.rejects(readInto(target, 0), { code: 'image-changed' })
      const left = Buffer.from(target)
      for (let k = 0; k < 20; k++) await new Promise(resolve => setTimeout(resolve, 5))
      t.ok(left.equals(target))
      t.ok(await read(0, 1000), 'and the next one is right')
    },
  )

  t.test(`${by}: who leaves gets nothing more into his memory`, async t => {
    let go = () => {}
    const slow: Answer = (body, head, socket) => {
      socket.write(head)
      socket.write(body.subarray(0, 1000))
      go = () => void socket.write(body.subarray(1000))
    }
    const { readInto } = await serving(t, [slow])
    const target = new Uint8Array(300_000).fill(0xff)
    const controller = new AbortController()
    const reading = readInto(target, 5, controller.signal)
    await until(() => target[999] !== 0xff, 10_000, 'the first bytes')
    controller.abort()
    await t.rejects(reading, { code: 'aborted' })
    go()
    for (let k = 0; k < 20; k++) await new Promise(resolve => setTimeout(resolve, 5))
    t.ok(target.subarray(1000).every(byte => byte === 0xff))
    const gone = new AbortController()
    gone.abort()
    await t.rejects(readInto(target, 5, gone.signal), { code: 'aborted' })
  })

  t.test(`${by}: what breaks, is refused or stalls is an error, and the next read goes on`, async t => {
    const breaking: Answer = (body, head, socket) => {
      socket.write(head)
      socket.write(body.subarray(0, 1000), () => socket.destroy())
    }
    const refusing: Answer = (_body, _head, socket) => void socket.write('HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n')
    const stalling: Answer = (body, head, socket) => {
      socket.write(head)
      socket.write(body.subarray(0, 1000))
    }
    const { read } = await serving(t, [breaking, refusing, stalling, right], { stallMsMax: 1500 })
    await t.rejects(read(0, 100_000), { code: 'origin-failed' })
    await t.rejects(read(0, 100_000), { code: 'origin-failed' })
    await t.rejects(read(0, 100_000), { code: 'origin-timeout' })
    // Its host is left to undici now, as one that answers otherwise.
    t.ok(await read(0, 100_000))
  })

  t.test(`${by}: a body that keeps coming may take longer than a stall`, async t => {
    const steady: Answer = (body, head, socket) => {
      socket.write(head)
      let at = 0
      const timer = setInterval(() => {
        socket.write(body.subarray(at, (at += 100_000)))
        if (at >= body.length) clearInterval(timer)
      }, 200)
    }
    const { read } = await serving(t, [steady], { stallMsMax: 1000 })
    const startedMs = performance.now()
    t.ok(await read(0, image.length))
    t.ok(performance.now() - startedMs > 1800, 'twice the stall')
  })

  t.test(`${by}: a closed origin breaks off what it receives`, async t => {
    const stalling: Answer = (_body, head, socket) => void socket.write(head)
    const { origin, read } = await serving(t, [stalling])
    const reading = read(0, 100_000)
    setTimeout(() => void origin.close(), 100)
    await t.rejects(reading, { code: 'closed' })
    await t.rejects(read(0, 1000))
  })

  t.test(`${by}: nor does it begin anew what was asked on a connection that was kept`, async t => {
    let connections = 0
    const silent: Answer = () => {
      connections = seen.connections
    }
    const { origin, read, seen } = await serving(t, [right, silent])
    t.ok(await read(0, 1000))
    const refused = t.rejects(read(0, 100_000), { code: 'closed' })
    await until(() => connections > 0, 10_000, 'the second request')
    await origin.close()
    await refused
    await new Promise(resolve => setTimeout(resolve, 100))
    t.equal(seen.connections, connections)
  })
}

/** Bodies that are received in place, from servers that answer as they are told. */
import { lookup } from 'node:dns'
import type { Socket } from 'node:net'
import { DEFAULT_CIPHERS } from 'node:tls'
import t, { type Test } from 'tap'
import { identify } from '../../../../src/base/image.ts'
import { Dialer } from '../../../../src/origin/http/connections/dialer.ts'
import { NativeRangeConnection } from '../../../../src/origin/http/connections/native-range-connection.ts'
import type { HttpOptions } from '../../../../src/origin/http/http-client.ts'
import { HttpOrigin } from '../../../../src/origin/http/http-origin.ts'
import { ExchangeTimeout } from '../../../../src/origin/http/protocol/exchange-timeout.ts'
import { informationBytesMax, informationsMax } from '../../../../src/origin/http/protocol/limits.ts'
import { noProxy } from '../../../../src/origin/http/protocol/proxy-rules.ts'
import { startUnaccepting } from '../../../fixtures/deaf-server.ts'
import { listenFor, type Way, waysToReceive } from '../../../fixtures/receiving.ts'
import { until } from '../../../fixtures/until.ts'

const image = Buffer.from(Array.from({ length: 10_000 }, (_, k) => k % 251))
const { signal } = new AbortController()

/** Fate of one request: bytes to send, and the end of the connection. */
type Answer = (range: [number, number], socket: Socket) => void

const headOf = ([first, last]: [number, number], more = '') =>
  `HTTP/1.1 206 Partial Content\r\nETag: "v"\r\nContent-Range: bytes ${first}-${last}/${image.length}\r\n${more}`
const partOf = ([first, last]: [number, number]) => image.subarray(first, last + 1)

const right: Answer = (range, socket) => {
  socket.write(`${headOf(range, `Content-Length: ${range[1] - range[0] + 1}\r\n`)}\r\n`)
  socket.write(partOf(range))
}

const rightAndLast: Answer = (range, socket) => {
  right(range, socket)
  socket.end()
}

/** A server that gives each request the next answer, and right ones after that. */
async function serve(t: Test, { receiver, identity }: Way, answers: Answer[], options: Partial<HttpOptions>) {
  const seen = { connections: 0, requests: [] as string[] }
  const sockets = new Set<Socket>()
  const { url, server } = await listenFor(identity, socket => {
    seen.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', bytes => {
      const request = bytes.toString('latin1')
      seen.requests.push(request)
      const match = /range: bytes=(\d+)-(\d+)/.exec(request)
      ;(answers.shift() ?? right)([Number(match?.[1]), Number(match?.[2])], socket)
    })
  })
  const origin = new HttpOrigin(url, { inPlaceBytesMin: 1, receiver, ca: identity?.cert ?? null, ...options })
  const facts = { origin: origin.url, key: 'a', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
  const read = async (offset: number, length: number, own = signal) => {
    const target = Buffer.alloc(length)
    await origin.read(identify(facts), offset, target, { signal: own })
    return target.equals(image.subarray(offset, offset + length))
  }
  t.teardown(async () => {
    await origin.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { origin, read, seen, sockets, facts }
}

for (const way of waysToReceive(t)) {
  const by = `received ${way.by}`
  const serving = (t: Test, answers: Answer[], options: Partial<HttpOptions> = {}) => serve(t, way, answers, options)

  t.test(`${by}: an answer is good though its connection has ended when it is its turn`, async t => {
    const { origin } = await serving(t, [rightAndLast])
    const held: (() => void)[] = []
    const slicer = { run: (piece: () => void) => void held.push(piece) }
    const url = new URL(origin.url)
    const { receiver, identity } = way
    const options = { home: url.origin, unixSocket: null, connectMsMax: 10_000, ca: null, proxyFor: noProxy }
    const dialer = new Dialer({ ...options, lookupFor: () => lookup })
    const trust = identity && receiver.trust(identity.cert, DEFAULT_CIPHERS)
    const connection = new NativeRangeConnection(url, { connectMsMax: 10_000, dialer, trust }, receiver, slicer)
    await connection.ready
    const target = Buffer.alloc(100)
    const head = connection.ask(
      'GET /a HTTP/1.1\r\nrange: bytes=0-99\r\n\r\n',
      target,
      new ExchangeTimeout('a', signal),
    )
    await until(() => !connection.isOpen, 60_000, 'its server has closed it')
    for (const piece of held) piece()
    t.equal((await head).status, 206)
    await connection.body()
    t.ok(target.equals(image.subarray(0, 100)))
    t.equal(connection.end(), false, 'and is not used again')
  })

  t.test(`${by}: ranges follow each other on one connection, whatever pieces they come in`, async t => {
    const inPieces: Answer = (range, socket) => {
      const bytes = Buffer.concat([
        Buffer.from(`${headOf(range, `Content-Length: ${range[1] - range[0] + 1}\r\n`)}\r\n`),
        partOf(range),
      ])
      let at = 0
      const next = () => {
        if (at >= bytes.length) return
        socket.write(bytes.subarray(at, (at += 97)), () => setImmediate(next))
      }
      next()
    }
    const early: Answer = (range, socket) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n')
      right(range, socket)
    }
    const { read, seen } = await serving(t, [right, inPieces, early, right])
    t.ok(await read(0, 1))
    t.ok(await read(5, 9_000))
    t.ok(await read(300, 400))
    t.ok(await read(9_999, 1))
    t.equal(seen.connections, 1)
    t.match(seen.requests[0], /^GET \/a HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/)
  })

  t.test(`${by}: as many answers come before the answer as may, and one more is an error`, async t => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'
    const after =
      (before: string): Answer =>
      (range, socket) => {
        socket.write(before)
        right(range, socket)
      }
    const long = (bytes: number) => `HTTP/1.1 103 x\r\nLink: ${'x'.repeat(bytes - 26)}\r\n\r\n`
    const half = informationBytesMax / 2
    const { read, seen } = await serving(t, [
      after(early.repeat(informationsMax)),
      after(long(half).repeat(2)),
      after(early.repeat(informationsMax + 1)),
      after(long(half) + long(half + 1)),
    ])
    t.ok(await read(0, 100))
    t.ok(await read(100, 100))
    t.equal(seen.connections, 1)
    await t.rejects(read(200, 100), { code: 'origin-protocol' })
    await t.rejects(read(300, 100), { code: 'origin-protocol' })
    t.ok(await read(400, 100))
    t.equal(seen.requests.length, 5, 'no request is sent twice for that')
    for (const request of seen.requests) t.match(request, /^GET \/a HTTP\/1\.1\r\nhost: /, 'and none is left to undici')
  })

  t.test(`${by}: a connection that its server closed while it was idle is no failure`, async t => {
    const { read, seen, sockets } = await serving(t, [])
    t.ok(await read(0, 100))
    for (const socket of sockets) socket.destroy()
    t.ok(await read(100, 100))
    const closing: Answer = (_range, socket) => void socket.destroy()
    const { read: again, seen: second } = await serving(t, [right, closing])
    t.ok(await again(0, 100))
    t.ok(await again(100, 100), 'nor one that is closed when it is asked')
    t.same([seen.connections, second.connections], [2, 2])
    const { read: fresh } = await serving(t, [closing])
    await t.rejects(fresh(0, 100), { code: 'origin-failed' }, 'a new one that breaks is')
  })

  t.test(`${by}: a lookup dials the connection of the first range, and no further one does`, async t => {
    const known: Answer = (_, socket) =>
      void socket.write(
        `HTTP/1.1 200 OK\r\nETag: "v"\r\nAccept-Ranges: bytes\r\nContent-Length: ${image.length}\r\n\r\n`,
      )
    const { origin, read, seen } = await serving(t, [known, right, known])
    await origin.lookup('a', { signal })
    // By undici, and for the range.
    await until(() => seen.connections === 2, 60_000, 'a connection that nothing is asked on')
    t.ok(await read(0, 100))
    t.same([seen.connections, seen.requests.length], [2, 2])
    await origin.lookup('a', { signal })
    t.ok(await read(100, 100))
    t.equal(seen.connections, 3, "undici's second one")

    const { origin: other, read: readOther, sockets } = await serving(t, [known])
    await other.lookup('a', { signal })
    await until(() => sockets.size === 2, 60_000, 'the same')
    for (const socket of sockets) socket.destroy()
    t.ok(await readOther(0, 100), 'one that its server has closed is no failure')
  })

  t.test(`${by}: what is no plain range is undici's, and its host is left to it for a while`, async t => {
    const chunked: Answer = (range, socket) => {
      const part = partOf(range)
      socket.write(`${headOf(range, 'Transfer-Encoding: chunked\r\n')}\r\n${part.length.toString(16)}\r\n`)
      socket.write(Buffer.concat([part, Buffer.from('\r\n0\r\n\r\n')]))
    }
    const { read, seen } = await serving(t, [chunked, chunked])
    t.ok(await read(10, 500))
    t.equal(seen.requests.length, 2, 'asked again')
    t.ok(await read(510, 500))
    t.equal(seen.requests.length, 3)
    const refusing: Answer = (_range, socket) => void socket.write('HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n')
    const { read: refused, seen: once } = await serving(t, [refusing])
    await t.rejects(refused(0, 10), { code: 'origin-failed' })
    t.equal(once.requests.length, 1, 'an answer is an answer')
  })

  t.test(`${by}: too few bytes, too many, another range and another version are errors`, async t => {
    const few: Answer = (range, socket) => {
      socket.end(
        Buffer.concat([Buffer.from(`${headOf(range, 'Content-Length: 100\r\n')}\r\n`), partOf(range).subarray(1)]),
      )
    }
    const other: Answer = (range, socket) => right([range[0] + 1, range[1] + 1], socket)
    const changed: Answer = (range, socket) => {
      socket.write(`${headOf(range, 'Content-Length: 100\r\n').replace('"v"', '"w"')}\r\n`)
      socket.write(partOf(range))
    }
    const { read } = await serving(t, [few])
    await t.rejects(read(0, 100), { code: 'origin-failed' })
    const { read: readOther } = await serving(t, [other])
    await t.rejects(readOther(0, 100), { code: 'origin-protocol' })
    const { read: readChanged } = await serving(t, [changed])
    await t.rejects(readChanged(0, 100), { code: 'image-changed' })
    // A server that knows no condition and no range. Its new image is as long as the range.
    for (const etag of ['"v"', '"w"']) {
      const whole: Answer = (range, socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nETag: ${etag}\r\nContent-Length: ${range[1] - range[0] + 1}\r\n\r\n`)
        socket.write(partOf(range))
      }
      const { read: readPart } = await serving(t, [whole, whole])
      await t.rejects(readPart(0, 100), { code: 'origin-protocol', message: /sent the whole image/ }, etag)
    }
    const newer: Answer = (range, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nETag: "w"\r\nContent-Length: ${range[1] - range[0] + 1}\r\n\r\n`)
      socket.write(partOf(range))
    }
    const { read: readNewer } = await serving(t, [newer, newer])
    await t.rejects(readNewer(0, image.length), { code: 'image-changed' })
    const unclear: Answer = (range, socket) => {
      socket.write(`${headOf(range, 'no header\r\nContent-Length: 100\r\n')}\r\n`)
      socket.write(partOf(range))
    }
    const { read: readUnclear } = await serving(t, [unclear])
    await t.rejects(readUnclear(0, 100), { code: 'origin-protocol' })
    const many: Answer = (range, socket) => {
      right(range, socket)
      socket.write('more')
    }
    const { read: readMany, seen } = await serving(t, [many])
    t.ok(await readMany(0, 100))
    // Bytes that come too late for their answer may arrive before the next head: that read is refused, never wrong.
    const again = async () => {
      const isRight = await readMany(100, 100).catch(error => t.equal(error.code, 'origin-protocol'))
      return isRight && seen.connections >= 2
    }
    await until(again, 10_000, 'another connection')
  })

  t.test(`${by}: who leaves gets nothing more into his memory`, async t => {
    let go = () => {}
    const slow: Answer = (range, socket) => {
      socket.write(`${headOf(range, 'Content-Length: 1000\r\n')}\r\n`)
      socket.write(partOf(range).subarray(0, 300))
      go = () => void socket.write(partOf(range).subarray(300))
    }
    const { origin, facts } = await serving(t, [slow])
    const controller = new AbortController()
    const target = Buffer.alloc(1000, 0xff)
    const reading = origin.read(identify(facts), 1000, target, { signal: controller.signal })
    await until(() => target[299] !== 0xff, 10_000, 'the first bytes')
    controller.abort()
    await t.rejects(reading, { code: 'aborted' })
    const left = Buffer.from(target)
    go()
    for (let k = 0; k < 20; k++) await new Promise(resolve => setImmediate(resolve))
    t.ok(target.equals(left))
  })

  t.test(`${by}: who leaves does not wait for a connection`, async t => {
    const server = await startUnaccepting()
    t.teardown(() => server.close())
    const url = `${way.identity ? 'https' : 'http'}://127.0.0.1:${server.port}/`
    const options = { receiver: way.receiver, ca: way.identity?.cert ?? null, connectMsMax: 60_000 }
    const origin = new HttpOrigin(url, { inPlaceBytesMin: 1, ...options })
    t.teardown(() => origin.close())
    const controller = new AbortController()
    const facts = { origin: url, key: 'a', sizeBytes: image.length, validator: '"v"', modifiedMs: 0 }
    const startMs = performance.now()
    const reading = origin.read(identify(facts), 0, Buffer.alloc(100), { signal: controller.signal })
    controller.abort()
    await t.rejects(reading, { code: 'aborted' })
    t.ok(performance.now() - startMs < 30_000, 'long before its time is over')
  })

  t.test(`${by}: no more connections than there may be, and a turn for everybody`, async t => {
    const { read, seen } = await serving(t, [], { connectionsMax: 3 })
    const controller = new AbortController()
    const reads = Array.from({ length: 30 }, (_, k) => read(k * 100, 100, k % 5 === 4 ? controller.signal : signal))
    controller.abort()
    const ended = await Promise.allSettled(reads)
    t.equal(ended.filter(each => each.status === 'fulfilled' && each.value).length, 24)
    t.ok(seen.connections <= 3 + 3, `${seen.connections} connections, those of who left included`)
    t.ok(await read(0, 10_000))
  })
}

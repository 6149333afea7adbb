/** NBD origins against a server that follows a script. */
import t from 'tap'
import { nbdAbandonedMax, nbdConnectionsMax, nbdRequestBytesMax } from '../../../src/origin/nbd/limits.ts'
import { NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { nbdImageOf, openedNbd, patienceMs, readsPattern } from '../../fixtures/nbd-origin.ts'
import {
  ack,
  answerRightly,
  type NbdReplies,
  type NbdRequest,
  type NbdScript,
  optionReply,
  patternBytes,
  refusal,
  u16,
  u32,
  u64,
} from '../../fixtures/scripted-nbd.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()

const halves = ({ offset, length }: NbdRequest) => [
  [offset, length >> 1] as const,
  [offset + (length >> 1), length - (length >> 1)] as const,
]

t.test('pieces of an answer are put in their places, in any order, among those of others, with holes', async t => {
  const waiting: [NbdRequest, NbdReplies][] = []
  const { origin } = await openedNbd(t, {
    onRequest: (request, replies) => {
      waiting.push([request, replies])
      if (waiting.length < 3) return
      // The second halves of all, and then the first ones, the last request first.
      for (const [each, { data }] of waiting.toReversed()) data(each, ...halves(each)[1]!, false)
      for (const [each, { data, chunk }] of waiting.splice(0).toReversed()) {
        data(each, ...halves(each)[0]!, false)
        chunk(each, 0, Buffer.alloc(0))
      }
    },
  })
  const image = await nbdImageOf(origin)
  const right = await Promise.all([
    readsPattern(origin, image, 0, 1000),
    readsPattern(origin, image, 5, 77),
    readsPattern(origin, image, 9000, 50_000),
  ])
  t.same(right, [true, true, true])
})

t.test('a hole is zeros, and what lies around the target is left out', async t => {
  const { origin, server } = await openedNbd(t, {
    blocks: [4096, 4096, 65536],
    onRequest: (request, { chunk, data }) => {
      const { offset, length } = request
      chunk(request, 2, Buffer.concat([u64(offset), u32(4096)]), false)
      data(request, offset + 4096, length - 4096)
    },
  })
  const image = await nbdImageOf(origin)
  const whole = new Uint8Array(300).fill(0x77)
  await origin.read(image, 4096 + 4000, whole.subarray(100, 300), { signal })
  t.ok(whole.subarray(0, 100).every(byte => byte === 0x77))
  t.ok(whole.subarray(100, 196).every(byte => byte === 0))
  t.ok(patternBytes(8192, 104).equals(whole.subarray(196)))
  t.match(server.requests, [{ offset: 4096, length: 8192 }], 'whole blocks')
})

t.test('long reads are divided as the server wants it, at its blocks', async t => {
  const sizeBytes = 8 * nbdRequestBytesMax + 100
  for (const [blocks, longest] of [
    [[512, 4096, 70_000], 69_632],
    [[1, 4096, 0xffff_ffff], nbdRequestBytesMax],
    [null, nbdRequestBytesMax],
  ] as const) {
    const { origin, server } = await openedNbd(t, { blocks, sizeBytes })
    const image = await nbdImageOf(origin)
    t.ok(await readsPattern(origin, image, 300, 500_000))
    t.ok(await readsPattern(origin, image, sizeBytes - 100_001, 100_001), 'the end')
    t.ok(await readsPattern(origin, image, 77, 2 * nbdRequestBytesMax))
    const lengths = server.requests.map(({ length }) => length)
    t.equal(Math.max(...lengths), longest)
    if (blocks?.[0] === 512) t.ok(server.requests.every(({ offset }) => offset % 512 === 0))
    t.ok(server.requests.every(({ offset, length }) => offset + length <= sizeBytes))
  }
})

t.test('simple replies are read where the server knows no others', async t => {
  const { origin } = await openedNbd(t, { isStructured: false })
  const image = await nbdImageOf(origin)
  t.same(await Promise.all([readsPattern(origin, image, 0, 100_000), readsPattern(origin, image, 77, 5)]), [true, true])
  t.equal(await origin.extentAt(image, 0, { signal }), null)
})

t.test('a read whose caller has left is not written, and its late answer harms none', async t => {
  const waiting: (() => void)[] = []
  const { origin, server } = await openedNbd(t, {
    onRequest: (request, replies) => {
      if (request.offset === 0) waiting.push(() => answerRightly(request, replies))
      else answerRightly(request, replies)
    },
  })
  const image = await nbdImageOf(origin)
  const controller = new AbortController()
  const target = new Uint8Array(1000).fill(0x11)
  const read = origin.read(image, 0, target, { signal: controller.signal })
  await until(() => waiting.length === 1, patienceMs, 'the request')
  controller.abort()
  await t.rejects(read, { code: 'aborted' })
  waiting[0]!()
  t.ok(await readsPattern(origin, image, 5000, 1000), 'what comes after it')
  t.ok(target.every(byte => byte === 0x11))
  t.equal(server.connections, 2, 'one for the lookup, one for all reads')
})

t.test('a server that lets left reads pile up loses its connection', async t => {
  const { origin, server } = await openedNbd(t, { onRequest: () => {}, sizeBytes: 2 ** 30 })
  const image = await nbdImageOf(origin)
  await until(() => server.open === 0, patienceMs, 'the end of the connection of the lookup')
  const leave = async (count: number) => {
    const controller = new AbortController()
    const left = Array.from({ length: count }, (_, k) =>
      origin.read(image, k * 4096, new Uint8Array(10), { signal: controller.signal }),
    )
    const before = server.requests.length
    await until(() => server.requests.length >= before + count, patienceMs, 'the requests')
    controller.abort()
    await Promise.all(left.map(each => t.rejects(each, { code: 'aborted' })))
  }
  await leave(nbdAbandonedMax)
  t.equal(server.open, 1)
  await leave(1)
  await until(() => server.open === 0, patienceMs, 'the end of the connection')
})

t.test('several connections are used where the server allows it, never more than the concurrency', async t => {
  for (const [flags, concurrencyMax, expected] of [
    [3, 16, 1],
    [3 | (1 << 8), 16, nbdConnectionsMax],
    [3 | (1 << 8), 2, 2],
  ] as const) {
    const waiting: (() => void)[] = []
    const { origin, server } = await openedNbd(
      t,
      { flags, onRequest: (request, replies) => void waiting.push(() => answerRightly(request, replies)) },
      { concurrencyMax },
    )
    const image = await nbdImageOf(origin)
    const lookups = server.connections
    const all: Promise<boolean>[] = []
    // Each is opened beside the reads, as soon as there are many: and then there are no more.
    for (let k = 0, more = 32; more > 0 && k < 5_000; k++) {
      all.push(readsPattern(origin, image, k * 100, 100))
      await until(() => server.requests.length === k + 1, patienceMs, 'the request')
      if (server.connections - lookups >= expected) more--
    }
    for (const answer of waiting) answer()
    t.ok((await Promise.all(all)).every(Boolean))
    t.equal(server.connections - lookups, expected, `flags ${flags}, ${concurrencyMax} at once`)
  }
})

t.test('unused connections are closed after a while, and made anew for the next read', async t => {
  const { origin, server } = await openedNbd(t, {}, { idleMs: 100 })
  const image = await nbdImageOf(origin)
  for (let round = 0; round < 2; round++) {
    t.ok(await readsPattern(origin, image, 0, 100))
    await until(() => server.open === 0, patienceMs, 'the end of the connection')
  }
  t.equal(server.connections, 3, 'one for the lookup')
})

t.test('a silent server is origin-timeout, and a broken connection origin-unreachable', async t => {
  const silent = await openedNbd(t, { onRequest: () => {} })
  const image = await nbdImageOf(silent.origin)
  const impatient = new NbdOrigin(silent.server.url, { concurrencyMax: 1, callMsMax: 300, allowMutable: true })
  t.teardown(() => impatient.close())
  await t.rejects(readsPattern(impatient, image, 0, 10), { code: 'origin-timeout' })
  const deaf = await openedNbd(t, { onOption: () => true }, { callMsMax: 300 })
  await t.rejects(nbdImageOf(deaf.origin), { code: 'origin-timeout' })
  let breaks = true
  const broken = await openedNbd(t, {
    onRequest: (request, replies) => {
      if (!breaks) return answerRightly(request, replies)
      replies.raw(u32(0x668e33ef))
      replies.hangUp()
    },
  })
  const other = await nbdImageOf(broken.origin)
  await t.rejects(readsPattern(broken.origin, other, 0, 10), { code: 'origin-unreachable' })
  breaks = false
  t.ok(await readsPattern(broken.origin, other, 0, 10))
})

t.test('an image whose export has gone or has another size is changed', async t => {
  const script = { exports: ['a'], sizeBytes: 1000 }
  const { origin } = await openedNbd(t, script)
  const image = await nbdImageOf(origin, 'a')
  script.sizeBytes = 1001
  await t.rejects(readsPattern(origin, image, 0, 10), { code: 'image-changed' })
  script.sizeBytes = 1000
  t.ok(await readsPattern(origin, image, 0, 10))
  script.exports = ['b']
  await t.rejects(origin.lookup('a', { signal }), { code: 'not-found' })
  const other = await openedNbd(t, script)
  await t.rejects(other.origin.read({ ...image, origin: other.origin.url }, 0, new Uint8Array(1), { signal }), {
    code: 'image-changed',
  })
})

t.test('an export has the size that it is entered with where its description says that it is empty', async t => {
  const onOption: NbdScript['onOption'] = (option, _, socket) => {
    if (option !== 6) return false
    const empty = Buffer.concat([u16(0), u64(0), u16(3)])
    return socket.write(Buffer.concat([optionReply(option, 3, empty), optionReply(option, ack)]))
  }
  const { origin } = await openedNbd(t, { exports: ['a'], sizeBytes: 1000, onOption })
  const image = await nbdImageOf(origin, 'a')
  t.equal(image.sizeBytes, 1000)
  t.ok(await readsPattern(origin, image, 990, 10))
  const none = await openedNbd(t, { exports: ['a'], sizeBytes: 0 })
  t.equal((await nbdImageOf(none.origin, 'a')).sizeBytes, 0)
})

t.test('an export without a version is refused, unless its digest is known or it may change', async t => {
  const careful = await openedNbd(t, { exports: ['a', 'b'] }, { allowMutable: false })
  await t.rejects(careful.origin.lookup('a', { signal }), {
    code: 'origin-unsupported',
    message: /give its digest under digests, or set allowMutable/,
  })
  const digest = { algorithm: 'sha-256', hex: '0'.repeat(64) } as const
  const known = await openedNbd(t, { exports: ['a', 'b'] }, { allowMutable: false, digests: { a: digest } })
  const image = await nbdImageOf(known.origin, 'a')
  t.same(await known.origin.digest(image, { signal }), digest)
  await t.rejects(known.origin.lookup('b', { signal }), { code: 'origin-unsupported' })
  await t.rejects(known.origin.lookup('constructor', { signal }), { code: 'not-found' })
  const { origin } = await openedNbd(t, { exports: ['a'] })
  const mutable = await nbdImageOf(origin, 'a')
  t.not(mutable.validator, image.validator)
  t.equal(await origin.digest(mutable, { signal }), null)
})

t.test('exports are listed by names that files can have, the one without a name as "default"', async t => {
  const { origin, server } = await openedNbd(t, { exports: ['', 'a', 'b/c', '..', 'ü', 'a'] })
  t.same(await origin.list({ signal }), ['default', 'a', 'ü'])
  t.ok(await readsPattern(origin, await nbdImageOf(origin), 0, 10))
  t.ok(await readsPattern(origin, await nbdImageOf(origin, 'ü'), 0, 10))
  const one = new NbdOrigin(`${server.url}b/c`, { concurrencyMax: 1, callMsMax: patienceMs, allowMutable: true })
  t.teardown(() => one.close())
  t.same(await one.list({ signal }), ['c'])
  t.ok(await readsPattern(one, await nbdImageOf(one, 'c'), 0, 10))
  await t.rejects(one.lookup('a', { signal }), { code: 'not-found' })
  const refusing = await openedNbd(t, {
    onOption: (option, _, socket) => option === 3 && socket.write(optionReply(option, refusal(2))),
  })
  t.equal(await refusing.origin.list({ signal }), null)
})

t.test('holes are told as the server tells them, in few questions, and what is wrong is not believed', async t => {
  const MiB = 2 ** 20
  let payload = u32(7, MiB, 0, MiB, 3, MiB, 2, MiB, 1, 3 * MiB, 0, MiB, 2)
  const { origin, server } = await openedNbd(t, {
    sizeBytes: 8 * MiB - 100,
    onRequest: (request, replies) =>
      request.command === 7 ? replies.chunk(request, 5, payload) : answerRightly(request, replies),
  })
  const image = await nbdImageOf(origin)
  const extents = []
  for (let at = 0; at < image.sizeBytes; at = extents.at(-1)!.end)
    extents.push((await origin.extentAt(image, at, { signal }))!)
  t.same(extents, [
    { hole: false, end: MiB },
    { hole: true, end: 3 * MiB },
    { hole: false, end: 7 * MiB },
    { hole: true, end: 8 * MiB - 100 },
  ])
  t.equal(server.requests.length, 1)
  for (const wrong of [
    u32(7),
    u32(8, MiB, 0),
    u32(7, 0, 0),
    u32(7, 8 * MiB, 0, MiB, 0),
    Buffer.alloc(9),
    Buffer.alloc(9 * MiB),
  ]) {
    payload = wrong
    const fresh = new NbdOrigin(server.url, { concurrencyMax: 1, callMsMax: patienceMs, allowMutable: true })
    await t.rejects(fresh.extentAt(image, 0, { signal }), { code: 'origin-protocol' }, `${wrong.length} bytes`)
    await fresh.close()
  }
})

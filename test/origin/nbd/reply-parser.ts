/** Answers of NBD servers that are wrong, and their errors. */
import t from 'tap'
import { nbdImageOf, openedNbd, patienceMs, readsPattern } from '../../fixtures/nbd-origin.ts'
import {
  answerRightly,
  type NbdReplies,
  type NbdRequest,
  type NbdScript,
  patternBytes,
  u16,
  u32,
  u64,
} from '../../fixtures/scripted-nbd.ts'
import { until } from '../../fixtures/until.ts'

/** Answers that no server may give, to a read of 1,000 bytes at 512. */
const wrongAnswers: Record<string, (request: NbdRequest, replies: NbdReplies) => void> = {
  'another handle': (request, { data }) => data({ ...request, handle: u64(77_777) }, 512, 1000),
  'a handle of 64 bits': (request, { data }) =>
    data({ ...request, handle: Buffer.concat([u32(1), request.handle.subarray(4)]) }, 512, 1000),
  'bytes before the range': (request, { data }) => data(request, 511, 1000),
  'bytes after the range': (request, { data }) => data(request, 513, 1000),
  'too many bytes': (request, { data }) => data(request, 512, 1001),
  'too few bytes': (request, { data }) => data(request, 512, 999),
  nothing: (request, { chunk }) => chunk(request, 0, Buffer.alloc(0)),
  'a gap': (request, { data }) => {
    data(request, 512, 400, false)
    data(request, 1012, 500)
  },
  'bytes twice': (request, { data }) => {
    data(request, 512, 500, false)
    data(request, 1011, 501)
  },
  'a hole over bytes': (request, { data, chunk }) => {
    data(request, 512, 1000, false)
    chunk(request, 2, Buffer.concat([u64(512), u32(1000)]))
  },
  'a hole of nothing': (request, { chunk }) => chunk(request, 2, Buffer.concat([u64(512), u32(0)])),
  'a hole beyond': (request, { chunk }) => chunk(request, 2, Buffer.concat([u64(512), u32(0xffff_ffff)])),
  'an offset of 64 bits': (request, { chunk }) =>
    chunk(request, 1, Buffer.concat([u64(0xffff_ffff_ffff_ffffn), patternBytes(512, 1000)])),
  'a chunk without an offset': (request, { chunk }) => chunk(request, 1, Buffer.alloc(3)),
  'holes in place of bytes': (request, { chunk }) => chunk(request, 5, u32(7, 1000, 0)),
  'an unknown chunk': (request, { chunk }) => chunk(request, 9, Buffer.alloc(8)),
  'nothing, and more to come': (request, { chunk }) => chunk(request, 0, Buffer.alloc(0), false),
  'an error without a number': (request, { chunk }) => chunk(request, 0x8001, Buffer.concat([u32(0), u16(0)])),
  'an error of a wrong length': (request, { chunk }) => chunk(request, 0x8001, Buffer.concat([u32(5), u16(100)])),
  'a long error': (request, { chunk }) => chunk(request, 0x8001, Buffer.alloc(70_000, 1)),
  'a simple reply': (request, { simple }) => simple(request, 0, patternBytes(512, 1000)),
  'no reply at all': (_, { raw }) => raw(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')),
  'an answer twice': (request, { data }) => {
    data(request, 512, 500, false)
    data(request, 1012, 500)
    data(request, 512, 1000)
  },
}

t.test('a wrong answer is origin-protocol, and the next read has another connection', async t => {
  for (const [what, answer] of Object.entries(wrongAnswers)) {
    let isWrong = true
    const script: NbdScript = {
      onRequest: (request, replies) => (isWrong ? answer(request, replies) : answerRightly(request, replies)),
    }
    const { origin, server } = await openedNbd(t, script)
    const image = await nbdImageOf(origin)
    const result = readsPattern(origin, image, 512, 1000)
    if (what === 'an answer twice') t.ok(await result, what)
    else await t.rejects(result, { code: 'origin-protocol' }, what)
    const before = server.connections
    isWrong = false
    // A connection that was told too much ends a moment later.
    if (what === 'an answer twice') await until(() => server.open === 0, patienceMs, 'the end of the connection')
    t.ok(await readsPattern(origin, image, 512, 1000), what)
    t.equal(server.connections, before + 1, what)
  }
})

t.test('errors of the server keep the connection, and have our codes', async t => {
  const codes = [
    [1, 'access-denied'],
    [5, 'origin-failed'],
    [12, 'origin-failed'],
    [22, 'origin-protocol'],
    [95, 'origin-unsupported'],
    [108, 'origin-unreachable'],
    [4711, 'origin-failed'],
  ] as const
  for (const isStructured of [true, false]) {
    let error = 0
    const { origin, server } = await openedNbd(t, {
      isStructured,
      onRequest: (request, replies) => {
        if (error === 0) return answerRightly(request, replies, { isStructured })
        if (!isStructured) return replies.simple(request, error)
        const said = Buffer.from('it is\u001b[2J broken')
        replies.data(request, request.offset, 10, false)
        replies.chunk(request, 0x8001, Buffer.concat([u32(error), u16(said.length), said]), false)
        replies.chunk(request, 0, Buffer.alloc(0))
      },
    })
    const image = await nbdImageOf(origin)
    t.ok(await readsPattern(origin, image, 0, 100))
    const { connections } = server
    for (const [number, code] of codes) {
      error = number
      const message = isStructured ? /it is\\u001b\[2J broken/ : /the server answers/
      await t.rejects(readsPattern(origin, image, 0, 100), { code, message }, `${number}`)
      error = 0
      t.ok(await readsPattern(origin, image, 0, 100))
    }
    t.equal(server.connections, connections)
  }
})

/** Traces of misses: which are drawn, and what their spans say. */
import t from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import type { EndedSpan } from '../../src/tracing/ended-span.ts'
import { traceSpansMax } from '../../src/tracing/limits.ts'
import { MissTracer } from '../../src/tracing/miss-tracer.ts'

function tracing() {
  const ended: EndedSpan[] = []
  const state = { nowMs: 1000, wallMs: 1_800_000_000_000, random: 0.5, leftOut: 0 }
  const tracer = new MissTracer({
    take: span => void ended.push(span),
    leftOut: () => void state.leftOut++,
    now: () => state.nowMs,
    wallMs: () => state.wallMs,
    random: () => state.random,
  })
  return { ended, state, tracer }
}

t.test('so many of the misses are drawn, and none before that is said', async t => {
  const { state, tracer } = tracing()
  t.notOk(tracer.isSampled())
  tracer.sample(0.5)
  t.notOk(tracer.isSampled(), 'the draw is not below the ratio')
  state.random = 0.49
  t.ok(tracer.isSampled())
  tracer.sample(0)
  state.random = 0
  t.notOk(tracer.isSampled(), 'none is none, whatever is drawn')
})

t.test('spans of a miss are one trace, on one clock, and end once', async t => {
  const { ended, state, tracer } = tracing()
  const miss = tracer.begin({ a: 1 }, 990)
  const queue = miss.begin('queue', { b: 'x' })
  // The wall clock is set back in between.
  state.wallMs -= 3_600_000
  state.nowMs = 1010
  const request = queue.begin('origin request')
  queue.add({ c: true })
  queue.end()
  queue.end()
  state.nowMs = 1025
  request.end(new CacheError('origin-timeout', 'late'))
  miss.end(new Error('odd'))
  t.equal(ended.length, 3)
  const [queued, requested, root] = ended as [EndedSpan, EndedSpan, EndedSpan]
  t.same(new Set(ended.map(({ traceId }) => traceId)).size, 1)
  t.match(root, { parentId: null, name: 'miss', facts: { a: 1 }, error: 'other' })
  t.match(queued, { parentId: root.spanId, name: 'queue', facts: { b: 'x', c: true }, error: null })
  t.match(requested, { parentId: queued.spanId, error: 'origin-timeout' })
  const base = 1_800_000_000_000 - 1000
  t.same(
    [root.startMs, root.endMs].map(ms => ms - base),
    [990, 1025],
  )
  t.same(
    [queued.startMs, queued.endMs].map(ms => ms - base),
    [1000, 1010],
  )
  const other = tracer.begin({}, 0)
  other.end()
  t.not(ended.at(-1)!.traceId, root.traceId)
})

t.test(`a trace has ${traceSpansMax} spans, and the next ones are counted and left out`, async t => {
  const { ended, state, tracer } = tracing()
  const miss = tracer.begin({}, 0)
  for (let k = 1; k < traceSpansMax; k++) miss.begin('origin request').end()
  t.equal(state.leftOut, 0)
  const over = miss.begin('origin request')
  t.equal(state.leftOut, 1)
  over.begin('hedge').end()
  over.add({})
  over.end()
  miss.end()
  t.equal(ended.length, traceSpansMax)
})

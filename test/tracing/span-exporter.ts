/** Export of spans: batches, tries, the bounded queue, and what a real server over HTTP and TLS gets. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runAfter } from '../../src/async/timers.ts'
import { Credentials } from '../../src/origin/http/request-credentials.ts'
import type { EndedSpan } from '../../src/tracing/ended-span.ts'
import {
  batchSpansMax,
  exportPauseMsMax,
  exportPauseMsMin,
  exportTriesMax,
  queuedSpansMax,
} from '../../src/tracing/limits.ts'
import { type Delivery, OtlpClient, tracesUrlOf } from '../../src/tracing/otlp-client.ts'
import { partialSuccessIn } from '../../src/tracing/otlp-json.ts'
import { SpanCounters, SpanExporter } from '../../src/tracing/span-exporter.ts'
import { makeCertificate, noCertificates } from '../fixtures/certificate.ts'
import { nextIteration } from '../fixtures/deferred.ts'
import { keepingLogger } from '../fixtures/keeping-logger.ts'
import { startCollector } from '../fixtures/otlp-collector.ts'
import { until } from '../fixtures/until.ts'

const span: EndedSpan = {
  ...{ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', parentId: 'b7ad6b7169203332' },
  ...{ name: 'origin request', startMs: 1_800_000_000_000.25, endMs: 1_800_000_000_001 },
  ...{ facts: { 'parentfs.bytes': 2 ** 40, 'parentfs.share': 0.5, 'parentfs.native': false }, error: 'origin-timeout' },
}

const taken: Delivery = { rejectedSpans: 0, errorMessage: '' }

/** An exporter whose collector answers as the test says, by the test's own timers. */
function exporting() {
  const counters = new SpanCounters()
  const sent: number[] = []
  const planned: { ms: number; work: () => void }[] = []
  const state = { answer: taken as Delivery, closed: 0 }
  const logger = keepingLogger()
  const exporter = new SpanExporter({
    client: {
      send: async body => {
        sent.push(
          (JSON.parse(body) as { resourceSpans: [{ scopeSpans: [{ spans: unknown[] }] }] }).resourceSpans[0]
            .scopeSpans[0].spans.length,
        )
        return state.answer
      },
      close: async () => void state.closed++,
    },
    ...{ url: 'http://collector/v1/traces', resource: {}, version: '1', counters, logger },
    after: (ms, work) => {
      const plan = { ms, work }
      planned.push(plan)
      return () => {
        const at = planned.indexOf(plan)
        if (at >= 0) planned.splice(at, 1)
      }
    },
  })
  const add = (count: number) => {
    for (let k = 0; k < count; k++) exporter.add(span)
  }
  /** Run what is planned next. @returns its time */
  const next = async () => {
    const plan = planned.shift()
    plan?.work()
    await nextIteration()
    return plan?.ms ?? null
  }
  return { exporter, counters, sent, planned, state, lines: logger.lines, add, next }
}

t.test('spans go in batches, the first when it is full', async t => {
  const { counters, sent, planned, add, next } = exporting()
  add(1)
  t.equal(planned[0]!.ms > 0, true)
  add(batchSpansMax)
  t.match(planned, [{ ms: 0 }])
  await next()
  t.same(sent, [batchSpansMax])
  await next()
  t.same(sent, [batchSpansMax, 1])
  t.same(planned, [])
  t.same({ ...counters }, { exported: batchSpansMax + 1, dropped: 0 })
})

t.test('the queue is bounded, and what is over it is counted', async t => {
  const { exporter, counters, add } = exporting()
  add(queuedSpansMax)
  t.equal(counters.dropped, 0)
  add(1)
  t.equal(counters.dropped, 1)
  await exporter.close()
  t.same({ ...counters }, { exported: batchSpansMax, dropped: queuedSpansMax - batchSpansMax + 1 })
})

t.test('a failure that may pass is tried again with longer pauses, and not for ever', async t => {
  const { counters, sent, state, lines, add, next } = exporting()
  state.answer = { reason: 'it answered 503', mayPass: true, retryMs: 0 }
  add(3)
  const pauses = []
  for (let tries = 0; tries < exportTriesMax; tries++) pauses.push(await next())
  t.same(
    pauses.slice(1),
    [1, 2, 4, 8].map(factor => Math.min(exportPauseMsMax, factor * exportPauseMsMin)),
  )
  t.same(sent, [3, 3, 3, 3, 3])
  t.same({ ...counters }, { exported: 0, dropped: 3 })
  t.match(lines, [{ level: 'warn', message: /not delivered/, facts: { reason: 'it answered 503' } }])
  state.answer = { reason: 'it answered 429', mayPass: true, retryMs: 7000 }
  add(1)
  await next()
  t.equal(await next(), 7000, 'the collector says how long')
  state.answer = taken
  await next()
  t.match(lines, [{}, { level: 'info', message: /delivered again/ }])
  state.answer = { reason: 'it answered 400', mayPass: false, retryMs: 0 }
  add(2)
  await next()
  t.same({ ...counters }, { exported: 1, dropped: 5 }, 'a request that is wrong is not sent again')
})

t.test('spans that a collector refuses of a request are counted', async t => {
  const { counters, state, lines, add, next } = exporting()
  state.answer = { rejectedSpans: 2, errorMessage: 'too old' }
  add(5)
  await next()
  t.same({ ...counters }, { exported: 3, dropped: 2 })
  t.match(lines, [{ facts: { reason: 'too old' } }])
  t.same(partialSuccessIn('{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}'), {
    rejectedSpans: 2,
    errorMessage: 'x',
  })
  for (const odd of ['', '[]', 'null', '{"partialSuccess":{"rejectedSpans":-1}}', '{"partialSuccess":7}']) {
    t.same(partialSuccessIn(odd), { rejectedSpans: 0, errorMessage: '' }, odd)
  }
})

t.test('the end sends what is there, once, and takes nothing more', async t => {
  const { exporter, counters, sent, planned, state, add } = exporting()
  add(2)
  await exporter.close()
  await exporter.close()
  add(1)
  t.same([sent, planned.length, state.closed], [[2], 0, 1])
  t.same({ ...counters }, { exported: 2, dropped: 1 })
})

function clientOf(t: Test, base: string, ca: string | null, file: string, requestMsMax = 20_000) {
  const logger = keepingLogger()
  // Its time stands still: a secret is read again because it was refused, and for no other reason.
  const options = { logger, now: () => 0 }
  const credentials = new Credentials({ headers: { authorization: { file }, 'x-tenant': 'a' } }, options)
  const client = new OtlpClient({ url: tracesUrlOf(base), ca, credentials, requestMsMax })
  t.teardown(() => client.close())
  return client
}

t.test('a collector gets requests as OTLP has them, with headers, over TLS', { skip: noCertificates }, async t => {
  const made = makeCertificate(t.testdir(), 'IP:127.0.0.1')
  const [cert, key] = [readFileSync(made.certificate, 'utf8'), readFileSync(made.key, 'utf8')]
  const collector = await startCollector(t, { key, cert })
  const file = `${made.key}.token`
  writeFileSync(file, 'Bearer first\n', { mode: 0o600 })
  const client = clientOf(t, collector.url, cert, file)
  const counters = new SpanCounters()
  const logger = keepingLogger()
  const parts = { client, url: collector.url, resource: { 'service.name': 'parentfs' }, version: '1', counters, logger }
  // At once, and with the time of a request: the last one at a close has less than a busy machine may take.
  const exporter = new SpanExporter({ ...parts, after: (_ms, work) => runAfter(0, work) })
  exporter.add(span)
  exporter.add({ ...span, parentId: null, name: 'miss', error: null })
  await until(() => counters.exported + counters.dropped === 2, 20_000, 'the delivery')
  await exporter.close()
  t.same(collector.wrong, [])
  t.same({ ...counters }, { exported: 2, dropped: 0 })
  t.match(collector.headers, [{ authorization: 'Bearer first', 'x-tenant': 'a' }])
  t.match(collector.resource, { 'service.name': 'parentfs' })
  const [first, second] = collector.spans
  t.match(first, {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentId,
    kind: 3,
    error: 'origin-timeout',
  })
  t.same(first!.attributes, { ...span.facts, 'error.type': 'origin-timeout' })
  t.same([first!.start, first!.end], [1_800_000_000_000_250_000n, 1_800_000_000_001_000_000n])
  t.match(second, { parentSpanId: '', kind: 2, error: '' })
  const stranger = clientOf(t, collector.url, null, file)
  t.match(await stranger.send('{}'), { mayPass: true, reason: /certificate/ })
})

t.test('answers: those that pass, those that do not, silence, and a token that was replaced', async t => {
  const collector = await startCollector(t)
  const file = join(t.testdir(), 'token')
  writeFileSync(file, 'Bearer first\n', { mode: 0o600 })
  const client = clientOf(t, collector.url, null, file)
  const body = '{"resourceSpans":[]}'
  for (const [status, mayPass] of [
    [429, true],
    [502, true],
    [503, true],
    [504, true],
    [500, false],
    [404, false],
    [302, false],
  ] as const) {
    collector.answer = { status, headers: { 'retry-after': '3', location: 'http://127.0.0.1:1/' } }
    t.match(await client.send(body), { mayPass, retryMs: 3000, reason: `it answered ${status}` })
  }
  collector.answer = { status: 200, body: '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}' }
  t.same(await client.send(body), { rejectedSpans: 2, errorMessage: 'too old' })
  collector.answer = { status: 200, body: 'x'.repeat(200_000) }
  t.same(await client.send(body), taken, 'a long answer is not read to its end')
  collector.answer = 'silence'
  t.match(await client.send(body, 50), { mayPass: true, reason: /no answer in 50 ms/ })
  collector.answer = { status: 401 }
  const before = collector.headers.length
  writeFileSync(file, 'Bearer second\n', { mode: 0o600 })
  await client.send(body)
  // The request that was given up may come as late as here.
  const tokens = new Set(collector.headers.slice(before).map(({ authorization }) => authorization))
  t.same([...tokens], ['Bearer first', 'Bearer second'])
  t.same(collector.wrong, [])
  collector.answer = 'silence'
  const asked = collector.headers.length
  const hanging = client.send(body)
  await until(() => collector.headers.length > asked, 20_000, 'the request')
  await client.close()
  t.match(await hanging, { mayPass: true }, 'a request under way breaks off')
})

t.test('a secret that does not come costs the time of a request, and no time at the end', async t => {
  const hanging = () => new Promise<never>(() => {})
  const credentials = { headers: hanging, renew: hanging }
  const place = { url: tracesUrlOf('http://127.0.0.1:1'), ca: null, credentials, requestMsMax: 3_600_000 }
  const client = new OtlpClient(place)
  t.match(await client.send('{}', 50), { mayPass: true, reason: /no answer in 50 ms/ })
  const waiting = client.send('{}')
  await client.close()
  t.match(await waiting, { mayPass: true, reason: 'tracing has ended' })
})

t.test('the path of traces is added to a base URL, and is not added twice', async t => {
  const cases = [
    ['http://host:4318', 'http://host:4318/v1/traces'],
    ['http://host:4318/', 'http://host:4318/v1/traces'],
    ['https://host/otlp/', 'https://host/otlp/v1/traces'],
    ['https://host/api/v1/traces', 'https://host/api/v1/traces'],
  ] as const
  for (const [base, url] of cases) t.equal(tracesUrlOf(base).href, url)
})

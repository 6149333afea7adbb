/** The metrics as text; and that the documentation, the dashboard and the alerts speak of those that there are. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import t from 'tap'
import { metricsConnectionsMax, metricsFreshMs } from '../../src/admin/limits.ts'
import { type Measurements, measureProcess } from '../../src/admin/measurements.ts'
import { metricList } from '../../src/admin/metric-list.ts'
import { Metrics } from '../../src/admin/metrics.ts'
import { MetricsPort } from '../../src/admin/metrics-port.ts'
import { LatencyHistogram, noLatencies } from '../../src/base/latency-histogram.ts'
import { originsMax } from '../../src/daemon/config/limits.ts'
import { parseExposition } from '../fixtures/exposition.ts'
import { freePort } from '../fixtures/free-port.ts'
import { attempt } from '../fixtures/run.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const memory = new LatencyHistogram()
for (const ms of [0.001, 0.01, 0.01, 1e9]) memory.add(ms)

function origin(name: string): Measurements['origins'][number] {
  return {
    ...{
      name,
      mode: 'promote',
      requests: 5,
      bytes: 4096,
      cancelled: 1,
      wrongBlocks: { data: 1, tree: 2, kept_tree: 3 },
      inFlight: 2,
      state: 'suspect',
      waiting: 3,
      outages: 4,
    },
    ...{ delayed: 6, refused: 7, hedges: { sent: 8, won: 9, overBudget: 10 }, readLatencies: noLatencies },
    errorsByCode: new Map([['origin-timeout', 11]]),
  }
}

const measured: Measurements = {
  traces: { exported: 68, dropped: 69 },
  registrations: { registered: 70, added: 71, removed: 72, refused: 73 },
  version: '1.2.3',
  fleet: null,
  state: 'ready',
  process: { ...measureProcess(), logLinesLost: 55 },
  refusedConnections: { admin: 38, metrics: 39, web: 61 },
  reads: { hits: 12, misses: 13, hitBytes: 14, missBytes: 15 },
  latencies: { memory: memory.snapshot(), disk: noLatencies, store: noLatencies, origin: noLatencies },
  cache: {
    capacityBytes: 16,
    usedBytes: 17,
    indexBytes: 18,
    images: 19,
    failedBatches: 20,
    taken: { reflinkedBytes: 41, copiedBytes: 42 },
    unlockedIndexBytes: 40,
  },
  pinned: { heldBytes: 21, maxBytes: 0, allowedBytes: 0 },
  health: 'bypass',
  busyTimes: 41,
  origins: [origin('https://host/"odd"\\\n/')],
  promotion: {
    ...{ queuedBytes: 22, promotedBytes: 23, dropped: 6, withheldBytes: 65 },
    droppedBy: {
      ...{ 'queue-full': 1, 'no-room': 2, 'disk-failed': 3 },
      ...{ recency: 4, 'write-budget': 5, 'max-objects': 6, 'too-young': 7 },
    },
  },
  prefetch: {
    ...{ bytes: 38, queuedRequests: 39, skippedRequests: 40, bufferedBytes: 41 },
    readAround: { overBudget: 58, busy: 59 },
    profiles: {
      ...{ recording: 51, recorded: 52, replayed: 53, fromGroup: 70, dropped: 54 },
      published: {
        found: 57,
        replayed: { version: 58, name: 59 },
        refused: { absent: 60, denied: 61, unavailable: 62, 'too-large': 63, invalid: 64 },
      },
    },
    purposes: {
      stream: { fetchedBytes: 42, readBytes: 43, unreadBytes: 44 },
      around: { fetchedBytes: 45, readBytes: 46, unreadBytes: 47 },
      profile: { fetchedBytes: 48, readBytes: 49, unreadBytes: 50 },
    },
  },
  eviction: { objects: 24, bytes: 25 },
  written: { bytes: 65, totalBytes: 66, leftBytes: 67 },
  scrub: { rounds: 26, roundStartedSeconds: 0, verifiedBytes: 27, corruptBlocks: 28 },
  retirement: { superseded: 35, retired: 36, forced: 42 },
  passthrough: { off: '', opens: 38, openNow: 39, images: 40, heldBytes: 41, refused: 42, repairedBlocks: 43 },
  droppedSamples: 124,
  forwarding: { opens: 120, openNow: 121, refused: 122, redirects: 123 },
  truncatedListings: 37,
  knownImages: { known: 54, forgotten: 55, refused: 56 },
  serving: {
    ...{ requests: 70, sentBytes: 71, nativeBytes: 78, denied: 72, busy: 73, tooMany: 74 },
    ...{ connections: 75, waiting: 76, foreignBytes: 77 },
  },
  librbd: { connections: 78, broken: 79, parentsKnown: 80, answers: { resident: 81, cold: 82 } },
  gauges: { requests: 29, interrupted: 30, inflightFetches: 31, openImages: 32, openDirectories: 33, nodes: 34 },
  eventLoopLag: noLatencies,
}

t.test('every metric is there, with the numbers that were measured, by the rules of the format', async t => {
  const text = await new Metrics(() => measured).text()
  const families = parseExposition(text)
  t.same([...families.keys()].sort(), metricList.map(({ name }) => name).sort())
  for (const { name, kind, help } of metricList) t.match(families.get(name), { type: kind, help }, name)
  const value = (name: string, labels = '') => families.get(name)?.series.get(`${name}{${labels}}`)
  t.equal(value('parentfs_hits_total'), 12)
  t.equal(value('parentfs_cache_used_bytes'), 17)
  t.equal(value('parentfs_refused_connections_total', 'to="metrics"'), 39)
  t.equal(value('parentfs_refused_connections_total', 'to="web"'), 61)
  t.equal(value('parentfs_served_refused_total', 'reason="busy"'), 73)
  t.equal(value('parentfs_log_lines_lost_total'), 55)
  t.equal(value('parentfs_librbd_answers_total', 'kind="cold"'), 82)
  t.equal(value('parentfs_librbd_broken_connections_total'), 79)
  t.equal(value('parentfs_cache_index_unlocked_bytes'), 40)
  t.equal(value('parentfs_cache_disk_busy_total'), 41)
  t.equal(value('parentfs_forced_retired_versions_total'), 42)
  t.equal(value('parentfs_cache_disk_state', 'state="bypass"'), 1)
  t.equal(value('parentfs_cache_disk_state', 'state="healthy"'), 0)
  t.equal(value('parentfs_promotions_dropped_total', 'reason="no-room"'), 2)
  t.equal(value('parentfs_prefetch_unread_bytes_total', 'purpose="around"'), 47)
  const named = 'origin="https://host/\\"odd\\"\\\\\\n/"'
  t.equal(value('parentfs_origin_errors_total', `${named},code="origin-timeout"`), 11)
  t.equal(value('parentfs_origin_state', `${named},state="suspect"`), 1)
  const reads = families.get('parentfs_read_duration_seconds')!.series
  const bucket = (le: string) => reads.get(`parentfs_read_duration_seconds_bucket{source="memory",le="${le}"}`)
  t.same([bucket('0.000001'), bucket('0.000008'), bucket('0.000016'), bucket('33.554432')], [1, 1, 3, 3])
  t.equal(bucket('+Inf'), 4)
})

t.test('one text a second is made for all who ask, however often', async t => {
  let [hits, made, nowMs] = [1, 0, 0]
  const measure = () => {
    made++
    return { ...measured, reads: { ...measured.reads, hits } }
  }
  const metrics = new Metrics(measure, () => nowMs)
  t.match(await metrics.text(), /^parentfs_hits_total 1$/m)
  hits = 5
  nowMs += metricsFreshMs - 1
  const texts = await Promise.all(Array.from({ length: 500 }, () => metrics.text()))
  t.equal(made, 1)
  t.match(texts[499], /^parentfs_hits_total 1$/m)
  nowMs += 1
  const [one, other] = await Promise.all([metrics.text(), metrics.text()])
  t.match(one, /^parentfs_hits_total 5$/m)
  t.equal(one, other)
  t.equal(made, 2)
})

t.test('a text that could not be made is made anew for the next who asks', async t => {
  let isFailing = true
  const measure = () => {
    if (isFailing) throw new Error('not now')
    return measured
  }
  const metrics = new Metrics(measure, () => 0)
  await t.rejects(metrics.text(), { message: 'not now' })
  isFailing = false
  t.match(await metrics.text(), /^parentfs_hits_total /m)
})

t.test('with as many origins as there may be, there are fewer than 5000 series', async t => {
  const origins = Array.from({ length: originsMax }, (_, k) => origin(`origin${k}`))
  const families = parseExposition(await new Metrics(() => ({ ...measured, origins })).text())
  const series = [...families.values()].reduce((sum, family) => sum + family.series.size, 0)
  t.ok(series < 5000, `${series} series`)
})

t.test('promtool finds nothing wrong', async t => {
  const text = await new Metrics(() => measured).text()
  const promtool = process.env.PROMTOOL ?? 'promtool'
  const checked = await attempt('sh', '-c', 'printf "%s" "$1" | "$2" check metrics', 'sh', text, promtool)
  if (checked.code === 127)
    return t.pass('promtool', { skip: 'promtool is not installed: only our own reader has looked' })
  t.match(checked, { code: 0, stderr: '' })
  t.match(await attempt(promtool, 'check', 'rules', 'docs/prometheus/parentfs.rules.yml'), { code: 0 })
})

t.test('what is wrong with a text is noticed', async t => {
  const right = '# HELP a_total A.\n# TYPE a_total counter\na_total 1\n'
  t.equal(parseExposition(right).size, 1)
  const histogram = '# HELP b B.\n# TYPE b histogram\nb_bucket{le="1"} 2\nb_bucket{le="+Inf"} 3\nb_sum 1\nb_count 3\n'
  t.equal(parseExposition(histogram).size, 1)
  const offences = [
    right.slice(0, -1),
    right + right,
    right.replaceAll('a_total', 'a'),
    right.replace('counter', 'gauge'),
    right.replace(' 1', ' x'),
    right.replace('a_total 1', 'b_total 1'),
    `${right}a_total 2\n`,
    right.replace('a_total 1', 'a_total{b="c} 1'),
    right.replace(' A.', ' '),
    right.replaceAll('a_total', 'a_ms_total'),
    histogram.replace('2', '4'),
    histogram.replace('b_count 3', 'b_count 2'),
    histogram.replace('+Inf', '2'),
  ]
  for (const text of offences) t.throws(() => parseExposition(text), text)
})

t.test('docs/OPERATIONS.md lists every metric, and no other', async t => {
  const lines = readFileSync('docs/OPERATIONS.md', 'utf8').split('\n')
  const start = lines.indexOf('| metric | type | labels | what it says |')
  const written = lines.slice(start + 2, lines.indexOf('', start))
  const known = metricList.map(
    ({ name, kind, labels, help }) =>
      `| \`${name}\` | ${kind} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`,
  )
  t.same(written, known)
})

/** Words of a query: names of metrics and of the series of histograms, each with its labels. */
const seriesNames = new Map(
  metricList.flatMap(({ name, kind, labels }) =>
    kind === 'histogram'
      ? ['_bucket', '_sum', '_count'].map(end => [name + end, [...labels, 'le']] as const)
      : [[name, labels] as const],
  ),
)

/** Everything that is wrong with the names in a query. */
function unknownNames(query: string): string[] {
  const metrics = [...query.matchAll(/\b((?:parentfs|process|nodejs)_[a-z_]+)(\{[^}]*\})?/g)]
  if (metrics.length === 0 && !/\bup\b/.test(query)) return [`no metric in ${query}`]
  return metrics.flatMap(([, name, selector = '']) => {
    const labels = seriesNames.get(name!)
    if (!labels) return [name!]
    const allowed = ['instance', 'job', ...labels]
    return [...selector.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)]
      .map(([, label]) => label!)
      .filter(label => !allowed.includes(label))
  })
}

t.test('every query of the dashboard and of the alerts names metrics and labels that exist', async t => {
  const dashboard = JSON.parse(readFileSync('docs/grafana/parentfs.json', 'utf8')) as {
    readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
  }
  const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  t.ok(queries.length >= 15, `${queries.length} queries`)
  const { parse } = await import('yaml')
  const { groups } = parse(readFileSync('docs/prometheus/parentfs.rules.yml', 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
  }
  const alerts = groups.flatMap(({ rules }) => rules)
  t.ok(alerts.length >= 8, `${alerts.length} alerts`)
  for (const query of [...queries, ...alerts.map(({ expr }) => expr)]) t.same(unknownNames(query), [], query)
  t.same(unknownNames('rate(parentfs_hit_total[5m])'), ['parentfs_hit_total'], 'a planted name')
  t.same(unknownNames('parentfs_origin_state{stat="away"}'), ['stat'], 'a planted label')
})

t.test('the port answers GET /metrics on 127.0.0.1 alone, and says what is wrong otherwise', async t => {
  const port = await freePort()
  let broken = false
  const server = await MetricsPort.listen(port, async () => {
    if (broken) throw new Error('nothing was measured')
    return 'parentfs_hits_total 1\n'
  })
  t.teardown(() => server.close())
  const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init)
  const answer = await ask('/metrics')
  t.match(answer, { status: 200 })
  t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(await answer.text(), 'parentfs_hits_total 1\n')
  t.equal((await ask('/')).status, 404)
  t.equal((await ask('/metrics', { method: 'POST', body: '{}' })).status, 404)
  broken = true
  t.equal((await ask('/metrics')).status, 500)
  const listening = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8')
  const mine =
    listening.match(new RegExp(`[0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A`, 'g')) ?? []
  t.equal(mine.length, 1)
  t.match(mine[0], /^0100007F:/, '127.0.0.1')
  await t.rejects(
    MetricsPort.listen(port, async () => ''),
    { code: 'invalid-argument', message: /EADDRINUSE/ },
  )
})

t.test('one connection more than there may be is closed', async t => {
  const port = await freePort()
  const server = await MetricsPort.listen(port, async () => '')
  t.teardown(() => server.close())
  const sockets = Array.from({ length: metricsConnectionsMax }, () => connect(port, '127.0.0.1'))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  const over = connect(port, '127.0.0.1').resume()
  // Long before it is closed for saying nothing.
  await until(() => over.destroyed, patienceMs, 'the end of one too many')
  t.equal(server.refused, 1, 'and counted')
  t.ok(sockets.every(socket => !socket.destroyed))
  sockets[0]!.destroy()
  await until(
    async () => (await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => null))?.status === 200,
    patienceMs,
    'a turn',
  )
  for (const socket of sockets) socket.destroy()
})

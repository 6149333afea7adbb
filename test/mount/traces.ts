/** Traces of a real mount: a collector gets the steps of misses, of TypeScript's and of session threads'. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, capabilities, type Place, parentfs, patienceMs, place, transport } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { type Collector, type ReceivedSpan, startCollector } from '../fixtures/otlp-collector.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 * 1024
const image = { seed: 22, sizeBytes: 16 * MiB }
const secret = 'traces-secret-4711'

t.test('the trace of a miss arrives, and a reload ends and moves it', options, async t => {
  const where = place(t)
  const directory = join(where.top, 'served')
  mkdirSync(directory)
  writeSample(join(directory, 'a.raw'), image)
  const server = await spawnHttpOrigin({ directory })
  t.teardown(() => server.close())
  const [collector, other] = [await startCollector(t), await startCollector(t)]
  const [file, token] = [join(where.top, 'p.yaml'), join(where.top, 'token')]
  writeFileSync(token, `Bearer ${secret}\n`, { mode: 0o600 })
  const configure = (tracing: string) => writeFileSync(file, configuration(where, server.url, tracing))
  const headers = `{ Authorization: { file: ${token} } }`
  configure(`{ otlp: "${collector.url}", ratio: 100%, headers: ${headers} }`)
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  t.teardown(() => parentfs('unmount', '--force', where.mountpoint))
  const mounted = await MountedFile.open(t, where.mountpoint, 'a.raw')
  const read = async (offset: number) => {
    const { buffer } = await mounted.direct.read(Buffer.alloc(4096), 0, 4096, offset)
    t.ok(buffer.equals(sampleBytes(image, offset, 4096)), `the bytes at ${offset}`)
  }

  await read(MiB)
  const first = await traceAt(collector.spans, MiB, span => span.attributes['parentfs.native'] === false)
  t.match(first, {
    kind: 2,
    parentSpanId: '',
    error: '',
    attributes: { 'parentfs.image': 'a.raw', 'parentfs.origin': server.url, 'parentfs.stalled': true },
  })
  const steps = () => collector.spans.filter(({ traceId }) => traceId === first.traceId)
  await until(() => steps().some(({ name }) => name === 'promotion'), patienceMs, 'the promotion')
  const byName = new Map(steps().map(span => [span.name, span]))
  for (const name of ['plan', 'queue', 'wait', 'origin request', 'promotion']) t.ok(byName.has(name), name)
  const request = byName.get('origin request')!
  t.match(request, { kind: 3, error: '', attributes: { 'parentfs.origin': server.url } })
  t.ok(request.start >= first.start && request.end <= first.end, 'a step of the miss lies in it')
  t.match(byName.get('promotion'), { attributes: { 'parentfs.promoted': true } })
  t.match(collector.resource, { 'service.name': 'parentfs', 'parentfs.mountpoint': where.mountpoint })
  t.equal(collector.headers[0]!.authorization, `Bearer ${secret}`)

  if (capabilities.nativeHits) await nativeMiss(t, collector, read)
  t.same(collector.wrong, [])

  const metrics = (await parentfs('metrics', where.mountpoint)).stdout.toString()
  t.match(metrics, /^parentfs_trace_spans_exported_total [1-9]/m)
  t.match(metrics, /^parentfs_trace_spans_dropped_total 0$/m)

  configure(`{ otlp: "${other.url}", ratio: 100% }`)
  t.match(await parentfs('reload', where.mountpoint), { code: 0 })
  await read(15 * MiB)
  const moved = await traceAt(other.spans, 15 * MiB)
  t.equal(other.headers[0]!.authorization, undefined)
  t.equal(moved.name, 'miss')
  configure('{}')
  t.match(await parentfs('reload', where.mountpoint), { code: 0 })
  // The last spans of reads before are sent while the reload is answered.
  const tracesOf = () => [...collector.spans, ...other.spans].map(({ traceId }) => traceId)
  const known = new Set(tracesOf())
  await read(15 * MiB + 512 * 1024)
  await mounted.close()
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.same(
    tracesOf().filter(traceId => !known.has(traceId)),
    [],
    'nothing is traced any more',
  )
})

function configuration(where: Place, url: string, tracing: string): string {
  const cache = `{ directory: ${where.cacheDirectory}, capacity: 150MiB, readAhead: 0, readAround: frugal }`
  const lines = [`mountpoint: ${where.mountpoint}`, `origin: { url: "${url}" }`, `cache: ${cache}`]
  return [...lines, `transport: ${transport}`, `tracing: ${tracing}`, ''].join('\n')
}

/** The first answers grant native reads: from then on session threads fetch by themselves. */
async function nativeMiss(t: Test, { spans }: Collector, read: (offset: number) => Promise<void>): Promise<void> {
  let offset = MiB
  const find = () => spans.find(({ attributes }) => attributes['parentfs.native'] === true)
  const isTraced = async () => {
    if (find()) return true
    if (offset < 14 * MiB) await read((offset += 64 * 1024))
    return false
  }
  await until(isTraced, patienceMs, 'a native miss')
  const below = () => spans.filter(({ parentSpanId }) => parentSpanId === find()!.spanId)
  await until(() => below().length === 2, patienceMs, 'its steps')
  t.match(
    new Map(below().map(({ name, kind }) => [name, kind])),
    new Map([
      ['native fetch', 3],
      ['promotion', 1],
    ]),
  )
}

/** The trace of a read whose blocks have that offset. */
async function traceAt(
  spans: readonly ReceivedSpan[],
  offset: number,
  isIt: (span: ReceivedSpan) => boolean = () => true,
): Promise<ReceivedSpan> {
  const find = () =>
    spans.find(span => span.name === 'miss' && span.attributes['parentfs.offset'] === offset && isIt(span))
  await until(() => find() !== undefined, patienceMs, `a trace of ${offset}`)
  return find()!
}

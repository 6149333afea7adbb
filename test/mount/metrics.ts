/** The metrics of a real mount. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import {
  cannotMount,
  capabilities,
  logs,
  makeComplete,
  mountDaemon,
  parentfs,
  patienceMs,
  place,
} from '../fixtures/daemon.ts'
import { type Family, parseExposition } from '../fixtures/exposition.ts'
import { freePort } from '../fixtures/free-port.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const sizeBytes = 3 * 1024 * 1024

t.test('what is read shows in the metrics: misses, then hits, with how long they took', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), { seed: 5, sizeBytes, dataShare: 1 })
  const port = await freePort()
  // The kernel would read it by itself, uncounted.
  await mountDaemon(t, where, '--no-passthrough', '--metrics-port', `${port}`)
  const ask = async () => {
    const { code, stdout, stderr } = await parentfs('metrics', where.mountpoint)
    t.match({ code, stderr }, { code: 0, stderr: '' })
    return parseExposition(stdout.toString())
  }
  await makeComplete(where, 'a.raw')
  const cold = await ask()
  t.ok(valueIn(cold, 'parentfs_misses_total') > 0)
  t.equal(valueIn(cold, 'parentfs_origin_received_bytes_total', `origin="${where.origin}"`), sizeBytes)
  t.equal(valueIn(cold, 'parentfs_promoted_bytes_total'), sizeBytes)
  t.ok(valueIn(cold, 'parentfs_cache_used_bytes') >= sizeBytes)
  t.equal(valueIn(cold, 'parentfs_daemon_state', 'state="ready"'), 1)

  await run('dd', `if=${join(where.mountpoint, 'a.raw')}`, 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none')
  // Metrics may be a second old, and a read is timed when its answer has gone out.
  let warm = cold
  const isCounted = async () => {
    warm = await ask()
    const isTimed = timed(warm, ['memory', 'disk', 'store']) === valueIn(warm, 'parentfs_hits_total')
    return grown('parentfs_hit_bytes_total') === sizeBytes && isTimed
  }
  const timed = (families: Map<string, Family>, sources: readonly string[]) =>
    sources.reduce((sum, source) => sum + count(families, source), 0)
  const grown = (name: string) => valueIn(warm, name) - valueIn(cold, name)
  await until(isCounted, patienceMs, 'the hits')
  t.equal(grown('parentfs_misses_total'), 0)
  t.equal(timed(warm, ['memory', 'disk', 'store']), valueIn(warm, 'parentfs_hits_total'), 'each hit has its time')
  t.equal(timed(warm, ['origin']), valueIn(warm, 'parentfs_misses_total'), 'and each miss')
  const scraped = await fetch(`http://127.0.0.1:${port}/metrics`)
  t.same([...parseExposition(await scraped.text()).keys()], [...warm.keys()], 'the port says the same')
  if (capabilities.nativeHits) t.ok(timed(warm, ['memory', 'disk']) > 0, 'native ones too')
  t.ok(valueIn(warm, 'parentfs_event_loop_lag_seconds', '', '_count') > 0)
})

t.test('a port that is taken keeps nobody from mounting, and another address is refused', options, async t => {
  const where = place(t)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  const daemon = await mountDaemon(t, where, '--metrics-port', `${port}`)
  await logs(daemon, /EADDRINUSE.*there are no metrics on the port/)
  const [origin, mountpoint] = [where.origin, where.mountpoint]
  const refused = await parentfs('mount', origin, mountpoint, '--metrics-port', '0.0.0.0:9100')
  t.match(refused, { code: 2, stderr: /not a port: give 1 to 65535; its address is always 127\.0\.0\.1/ })
})

t.test('of a mount that is not there, there are none', options, async t => {
  t.match(await parentfs('metrics', place(t).mountpoint), { code: 1, stderr: /is not a parentfs mount/ })
})

function count(families: Map<string, Family>, source: string): number {
  return valueIn(families, 'parentfs_read_duration_seconds', `source="${source}"`, '_count')
}

function valueIn(families: Map<string, Family>, name: string, labels = '', end = ''): number {
  return families.get(name)?.series.get(`${name}${end}{${labels}}`) ?? Number.NaN
}

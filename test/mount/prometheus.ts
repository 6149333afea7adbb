/**
 * Monitoring with the real programs: Debian's Prometheus scrapes a mount, and every query of the dashboard is answered;
 * promtool fires every alert for its trouble. The dashboard has the form that Grafana imports.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'
import { cannotMount, mountDaemon, patienceMs, place } from '../fixtures/daemon.ts'
import { freePort } from '../fixtures/free-port.ts'
import { writeSample } from '../fixtures/images.ts'
import { attempt, run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const rulesTest = 'test/fixtures/parentfs.rules.test.yml'

/** Source: Grafana's dashboard JSON model, as far as a dashboard of version 38 must have it to be imported and drawn. */
const targets = z.array(z.object({ refId: z.string().min(1), expr: z.string().min(1) }).loose())
const position = z.object({
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
})
const panel = z.discriminatedUnion('type', [
  z.object({ type: z.literal('row'), id: z.int(), title: z.string(), gridPos: position }).loose(),
  ...(['timeseries', 'stat', 'table', 'gauge', 'state-timeline'] as const).map(type =>
    z
      .object({
        type: z.literal(type),
        id: z.int(),
        title: z.string().min(1),
        gridPos: position.refine(({ x, w }) => x + w <= 24, 'wider than the grid'),
        datasource: z.object({ type: z.literal('prometheus'), uid: z.string() }),
        targets: targets.min(1),
      })
      .loose(),
  ),
])
const dashboardSchema = z
  .object({
    title: z.string().min(1),
    uid: z.string().regex(/^[\w-]{1,40}$/),
    schemaVersion: z.int().min(36),
    panels: z.array(panel).min(1),
    templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string() }).loose()) }),
    time: z.object({ from: z.string(), to: z.string() }),
  })
  .loose()

const dashboard = dashboardSchema.safeParse(JSON.parse(readFileSync('docs/grafana/parentfs.json', 'utf8')))

t.test('the dashboard has the form of Grafana, and its panels have numbers of their own', async t => {
  t.same(dashboard.error?.issues ?? [], [])
  const ids = dashboard.data?.panels.map(({ id }) => id) ?? []
  t.equal(new Set(ids).size, ids.length)
})

t.test('every alert fires for its trouble, and a good mount raises none', async t => {
  const { groups } = parse(readFileSync('docs/prometheus/parentfs.rules.yml', 'utf8')) as {
    groups: { rules: { alert: string }[] }[]
  }
  const text = readFileSync(rulesTest, 'utf8')
  for (const { alert } of groups.flatMap(({ rules }) => rules)) t.ok(text.includes(`alertname="${alert}"`), alert)
  const ran = await attempt('promtool', 'test', 'rules', rulesTest).catch(() => null)
  if (ran === null || ran.code === 127) return t.pass('promtool', { skip: 'prometheus is not installed' })
  t.match(ran, { code: 0 }, `${ran.stdout}${ran.stderr}`)
})

t.test('Prometheus answers every query of the dashboard over a live mount', { skip: cannotMount }, async t => {
  if ((await attempt('sh', '-c', 'command -v prometheus')).code !== 0)
    return t.pass('prometheus', { skip: 'prometheus is not installed' })
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), { seed: 6, sizeBytes: 3_000_000, dataShare: 1 })
  const [port, own] = [await freePort(), await freePort()]
  await mountDaemon(t, where, '--no-passthrough', '--metrics-port', `${port}`)
  const file = join(where.top, 'prometheus.yml')
  const job = `{job_name: parentfs, static_configs: [{targets: ['127.0.0.1:${port}']}]}`
  writeFileSync(file, `global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs: [${job}]\n`)
  const data = join(where.top, 'prometheus')
  const places = [`--config.file=${file}`, `--storage.tsdb.path=${data}`, `--web.listen-address=127.0.0.1:${own}`]
  // Until the test ends.
  const { child, ended } = start('prometheus', [...places, '--log.level=warn'], { msMax: 4 * patienceMs })
  t.teardown(() => {
    child.kill('SIGKILL')
    return ended
  })
  const read = () =>
    run('dd', `if=${join(where.mountpoint, 'a.raw')}`, 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none')
  const ask = async (expr: string) => {
    const answer = await fetch(`http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(expr)}`)
    return (await answer.json()) as { status: string; error?: string; data?: { result: unknown[] } }
  }
  const hasCounted = async () => {
    await read()
    const { data } = await ask('sum(rate(parentfs_hits_total[1m])) > 0').catch(() => ({ data: undefined }))
    return (data?.result.length ?? 0) > 0
  }
  await until(hasCounted, patienceMs, 'two scrapes with hits between them')
  const exprs = (dashboard.data?.panels ?? []).flatMap(each =>
    'targets' in each ? (each.targets as { expr: string }[]) : [],
  )
  t.ok(exprs.length > 30, `${exprs.length} queries`)
  const waiting = new Set<string>()
  for (const { expr } of exprs) {
    const shown = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')
    t.notMatch(shown, /\$/, 'no variable is left')
    const { status, error } = await ask(shown)
    t.equal(status, 'success', `${expr}: ${error ?? ''}`)
    // Failures have a series by their code, and nothing has failed here.
    if (!expr.includes('_errors_total')) waiting.add(shown)
  }
  // After a scrape that was late, gauges have no value until the next one.
  const haveSeries = async () => {
    for (const shown of waiting) if ((await ask(shown)).data?.result.length) waiting.delete(shown)
    return waiting.size === 0
  }
  await until(haveSeries, patienceMs, 'a series of each').catch(() => {}) // The next line says which have none.
  t.same([...waiting], [], 'each of them has a series')
  t.match(await ask('parentfs_no_such{'), { status: 'error' }, 'a wrong query is one')
})

/** Mounts that a file describes. */
import { mkdirSync, readdirSync, readFileSync, renameSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { cannotMount, isGone, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const image = { seed: 11, sizeBytes: 3 * 1024 * 1024 + 17 }

t.test('a file mounts what it says', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const file = join(where.top, 'p.yaml')
  const log = join(where.top, 'log')
  writeFileSync(
    file,
    `
mountpoint: ${where.mountpoint}
origin: { url: "${where.origin}" }
cache: { directory: ${where.cacheDirectory}, capacity: 150MiB, blockSize: 32KiB }
attributes: { mode: "0400" }
log: { level: debug, file: ${log} }
`,
  )
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const path = join(where.mountpoint, 'a.raw')
  t.ok(readFileSync(path).equals(sampleBytes(image, 0, image.sizeBytes)))
  const status = await statusOf(where)
  t.match(status, {
    cache: { directory: where.cacheDirectory, blockBytes: 32768, capacityBytes: 150 * 1024 ** 2 },
    origin: { url: where.origin },
  })
  await until(() => /"level":20/.test(readFileSync(log, 'utf8')), patienceMs, 'debug lines')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, status.pid, status.supervisorPid))
})

t.test('threads and disk settings are what the file says', options, async t => {
  const where = place(t)
  const file = join(where.top, 'p.yaml')
  const threads = async (worker: string) => {
    const cache = `{ directory: ${where.cacheDirectory}, capacity: 150MiB, readTimeout: 2s, syncInterval: 1s }`
    const lines = [`mountpoint: ${where.mountpoint}`, `origin: { url: "${where.origin}" }`, `cache: ${cache}`, worker]
    writeFileSync(file, lines.join('\n'))
    t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
    const { pid } = await statusOf(where)
    const tasks = `/proc/${pid}/task`
    const names = readdirSync(tasks).map(task => readFileSync(join(tasks, task, 'comm'), 'utf8').trim())
    const count = (name: string) => names.filter(each => each === name).length
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
    return { session: count('pfs-session'), store: count('pfs-store') }
  }
  t.same(await threads(''), { session: 4, store: 16 })
  t.same(await threads('worker: { sessionThreads: 2, storeThreads: 3 }'), { session: 2, store: 3 })
})

t.test('a file that is wrong is exit code 2, which a service manager does not try again', options, async t => {
  const where = place(t)
  const file = join(where.top, 'p.yaml')
  const cases: [string | null, RegExp][] = [
    [null, /p\.yaml cannot be used: no such file/],
    [`mountpoint: ${where.mountpoint}\n`, /p\.yaml:1:1: /],
    [
      `mountpoint: ${where.mountpoint}\norigin: { ur: "${where.origin}" }\n`,
      /p\.yaml:2:1: origin.*no url: write "url: /,
    ],
    [`origin: { url: "${where.origin}" }\n`, /p\.yaml has no mountpoint: write it there/],
  ]
  for (const [text, line] of cases) {
    if (text !== null) writeFileSync(file, text)
    for (const more of [[], ['--background']]) {
      const ran = await parentfs('mount', '--config', file, ...more)
      t.equal(ran.code, 2)
      t.match(ran.stderr, /^parentfs: [^\n]+\n$/)
      t.match(ran.stderr, line)
    }
  }
  t.equal(await mountAt(where.mountpoint), null)
})

t.test('several origins are a directory each over one cache, and names can move', options, async t => {
  const where = place(t)
  const other = { seed: 12, sizeBytes: 2 * 1024 * 1024 + 5 }
  const [far, near] = [join(where.top, 'far'), where.originDirectory]
  mkdirSync(far)
  writeSample(join(near, 'a.raw'), image)
  // The same name in both.
  writeSample(join(far, 'a.raw'), other)
  const origin = await spawnHttpOrigin({ directory: far })
  t.teardown(() => origin.close())
  const file = join(where.top, 'p.yaml')
  const configure = (farName: string) =>
    writeFileSync(
      file,
      `
mountpoint: ${where.mountpoint}
cache: { directory: ${where.cacheDirectory}, capacity: 150MiB }
origins:
  near: { url: "${where.origin}" }
  ${farName}: { url: "${origin.url}", requests: 4 }
`,
    )
  const path = (...names: string[]) => join(where.mountpoint, ...names)
  const reads = (name: string, sample: typeof image) =>
    t.ok(readFileSync(path(name, 'a.raw')).equals(sampleBytes(sample, 0, sample.sizeBytes)), name)

  configure('far')
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  t.same(readdirSync(where.mountpoint), ['far', 'near'])
  t.same(readdirSync(path('near')), ['a.raw'])
  t.same(readdirSync(path('far')), ['a.raw'])
  for (const name of ['near', 'far']) t.ok(statSync(path(name)).isDirectory())
  t.throws(() => statSync(path('a.raw')), { code: 'ENOENT' })
  t.throws(() => readdirSync(path('elsewhere')), { code: 'ENOENT' })
  t.equal(statfsSync(path('far')).type, statfsSync(where.mountpoint).type)
  const inode = statSync(path('far')).ino
  reads('near', image)
  reads('far', other)
  const whole = async () => (await statusOf(where)).images.every(({ complete }) => complete)
  await until(whole, patienceMs, 'promotion')
  const status = await statusOf(where)
  t.same(status.images.map(({ name }) => name).sort(), ['far/a.raw', 'near/a.raw'])
  t.match(status.origins, [
    { name: 'near', url: where.origin },
    { name: 'far', url: origin.url },
  ])
  t.equal(status.origin.bytes, image.sizeBytes + other.sizeBytes)
  t.equal((await mountAt(where.mountpoint))?.source, 'near+far')
  t.match((await parentfs('verify', where.mountpoint, 'far/a.raw')).code, 0)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })

  // Under another name, and with the other origin away: what is cached belongs to the URL.
  configure('moved')
  renameSync(near, `${near}.away`)
  await origin.reset()
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  reads('moved', other)
  reads('near', image)
  t.equal((await origin.counters()).requests, 0)
  t.not(statSync(path('moved')).ino, inode)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})

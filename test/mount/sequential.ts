/**
 * Mounts of images that come from the front alone.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, isGone, mountArguments, type Place, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024

const packersMissing = ['gzip', 'xz', 'zstd'].every(name => existsSync(`/usr/bin/${name}`))
  ? false
  : 'gzip, xz or zstd is not installed (Debian: xz-utils, zstd)'

t.test('a server without ranges: one pass, readers wait, all of it is kept', { skip: cannotMount }, async t => {
  const where = place(t)
  const image = { seed: 31, sizeBytes: 24 * MiB + 513, dataShare: 1 }
  const path = join(where.originDirectory, 'a.raw')
  writeSample(path, image)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, ranges: 'no', bytesPerSecond: 24 * MiB })
  t.teardown(() => origin.close())
  t.match(await parentfs(...mountArguments({ ...where, origin: origin.url }, '--background')), { code: 0 })
  await origin.reset()
  const file = await open(join(where.mountpoint, 'a.raw'))
  const readRight = async (offset: number, length: number) => {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset)
    return sampleBytes(image, offset, length).equals(buffer)
  }
  t.same(await Promise.all([readRight(20 * MiB, MiB), readRight(100, 4096), readRight(7 * MiB, 65536)]), [
    true,
    true,
    true,
  ])
  await file.close()
  await run('cmp', path, join(where.mountpoint, 'a.raw'))
  const held = async () => (await statusOf(where)).images.find(({ name }) => name === 'a.raw')!
  await until(async () => (await held()).complete, 60_000, 'the whole image')
  const { bytes } = (await statusOf(where)).origin
  t.equal(bytes, image.sizeBytes, 'each byte was fetched once')
  const gets = (await origin.counters()).log.filter(({ method, path }) => method === 'GET' && path === '/a.raw')
  t.equal(gets.filter(({ headers }) => headers.range === undefined).length, 1)
  const { pid, supervisorPid } = await statusOf(where)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
})

t.test(
  'a worker that dies in a pass: what has landed stays, another pass brings the rest',
  {
    skip: cannotMount,
  },
  async t => {
    const where = place(t)
    const image = { seed: 32, sizeBytes: 16 * MiB, dataShare: 1 }
    const path = join(where.originDirectory, 'a.raw')
    writeSample(path, image)
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, ranges: 'no', bytesPerSecond: 8 * MiB })
    t.teardown(() => origin.close())
    t.match(await parentfs(...mountArguments({ ...where, origin: origin.url }, '--background')), { code: 0 })
    const read = readFile(join(where.mountpoint, 'a.raw'))
    await until(async () => (await statusOf(where)).promotion.promotedBytes > 4 * MiB, 60_000, 'a part of it')
    const { pid, supervisorPid } = await statusOf(where)
    process.kill(pid, 'SIGKILL')
    t.ok((await read).equals(await readFile(path)))
    const after = await statusOf(where)
    t.not(after.pid, pid)
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
    t.ok(await isGone(where, after.pid, supervisorPid))
  },
)

/** The example of docs/ORIGINS.md, with its URL and what a test needs besides. */
function exampleWith(where: Place, url: string): string {
  const page = readFileSync('docs/ORIGINS.md', 'utf8')
  const example = /```yaml\n(origin:[^`]*views: \[unpacked\]\n)```/.exec(page)![1]!
  return `${example.replace(/https:\S+/, url)}mountpoint: ${where.mountpoint}
cache: { directory: ${where.cacheDirectory}, capacity: 200MiB }
log: { file: ${join(where.top, 'log')} }
`
}

t.test(
  'packed files are shown unpacked, as the documentation has it, and kept over restarts',
  {
    skip: cannotMount || packersMissing,
  },
  async t => {
    const where = place(t)
    const image = { seed: 33, sizeBytes: 20 * MiB + 5, dataShare: 0.5 }
    const plain = join(where.top, 'plain')
    writeSample(plain, image)
    const packed = { a: ['zstd', '-1', '-q'], b: ['xz', '-0'], c: ['gzip', '-1'] } as const
    const endings = { zstd: 'zst', xz: 'xz', gzip: 'gz' } as const
    let packedBytes = 0
    for (const [name, [command, ...options]] of Object.entries(packed)) {
      const path = join(where.originDirectory, `${name}.raw.${endings[command]}`)
      writeFileSync(path, execFileSync(command, [...options, '-c', plain], { maxBuffer: 2 ** 26 }))
      utimesSync(path, 1_600_000_000, 1_600_000_000)
      const sum = createHash('sha256').update(readFileSync(path)).digest('hex')
      writeFileSync(`${path}.sha256`, `${sum}\n`)
      // A size that its format does not state is measured first.
      packedBytes += readFileSync(path).length * (command === 'gzip' ? 2 : 1)
    }
    const origin = await spawnHttpOrigin({ directory: where.originDirectory })
    t.teardown(() => origin.close())
    const configuration = join(where.top, 'parentfs.yaml')
    writeFileSync(configuration, exampleWith(where, origin.url))
    t.match(await parentfs('mount', '--background', '--config', configuration), { code: 0, stderr: '' })
    for (const name of Object.keys(packed)) {
      await until(
        async () => (await stat(join(where.mountpoint, `${name}.raw`)).catch(() => null)) !== null,
        60_000,
        name,
      )
      await run('cmp', plain, join(where.mountpoint, `${name}.raw`))
    }
    const views = async () => (await statusOf(where)).images.filter(({ name }) => name.endsWith('.raw'))
    await until(async () => (await views()).every(({ digest }) => digest === 'verified'), 60_000, 'their digests')
    t.equal((await views()).length, 3)
    const { bytes } = (await statusOf(where)).origin
    t.ok(bytes < packedBytes * 1.02, `${bytes} bytes for ${packedBytes}`)
    const { pid } = await statusOf(where)
    t.match(await parentfs('upgrade', where.mountpoint), { code: 0 })
    await run('cmp', plain, join(where.mountpoint, 'b.raw'))
    const after = await statusOf(where)
    t.not(after.pid, pid)
    t.ok(after.origin.bytes < MiB, 'what was unpacked is kept')
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
    t.ok(await isGone(where, after.pid, after.supervisorPid))
  },
)

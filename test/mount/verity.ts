/**
 * A mount whose images are proven: what veritysetup sealed is served, what was changed on the way is not, by session
 * threads and by TypeScript, before and after a restart.
 */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, makeComplete, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { run } from '../fixtures/run.ts'
import { noVeritysetup, seal } from '../fixtures/sealed-images.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024
const image = { seed: 29, sizeBytes: 40 * MiB, dataShare: 0.8 }

/** Flip a bit, and leave the version as it is. */
function flip(path: string, offset: number): void {
  const { atime, mtime } = statSync(path)
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  byte[0]! ^= 0x10
  writeSync(fd, byte, 0, 1, offset)
  closeSync(fd)
  utimesSync(path, atime, mtime)
}

/** Older than what may look the same to a web server: its first lookup need not wait. */
function publish(next: string, source: string, modified: number): void {
  for (const path of [`${next}.verity`, next]) utimesSync(path, modified, modified)
  renameSync(`${next}.verity`, `${source}.verity`)
  renameSync(next, source)
}

/** @param cache its directory; null: a usual one */
async function mounted(t: Test, cache: string | null = null) {
  const made = place(t)
  const where = cache === null ? made : { ...made, cacheDirectory: cache }
  const source = join(where.originDirectory, 'a.raw')
  const first = join(where.top, 'first.raw')
  writeSample(first, image)
  seal(first, `${first}.verity`)
  publish(first, source, 1_600_000_000)
  const server = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => server.close())
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
  const [file, log] = [join(where.top, 'p.yaml'), join(where.top, 'log')]
  const lines = [
    `mountpoint: ${where.mountpoint}`,
    `origin: { url: "${server.url}", missTimeout: 10s, revalidate: 300ms, verify: { verity: require } }`,
    `cache: { directory: ${where.cacheDirectory}, capacity: 300MiB }`,
    `log: { file: ${log} }`,
  ]
  writeFileSync(file, lines.join('\n'))
  const mount = async () => t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const unmount = async () => t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  await mount()
  const said = () => readFileSync(log, 'utf8')
  return { where, source, server, mount, unmount, said, view: join(where.mountpoint, 'a.raw') }
}

type Mounted = Awaited<ReturnType<typeof mounted>>

t.test(
  'what was sealed is served, an upgrade costs what changed, and a restart needs no origin',
  { skip: cannotMount || noVeritysetup },
  async t => {
    const mount = await mounted(t)
    const { where, source, view } = mount
    await run('cmp', view, source)
    await makeComplete(where, 'a.raw')
    const { origin, reads } = await statusOf(where)
    t.ok(origin.bytes < image.sizeBytes * 1.03, `${origin.bytes} bytes were fetched: the image and its tree`)
    t.equal(origin.errors, 0)
    t.ok(reads.misses > 0)

    const { after, reflink, copy } = await upgraded(t, mount)
    t.ok(reflink + copy > 20 * MiB, 'the rest came from the older version')
    const files = () => readdirSync(join(where.cacheDirectory, 'images')).length
    await until(() => files() === 1, patienceMs, 'the older version is retired')
    const trees = () => readdirSync(join(where.cacheDirectory, 'trees')).length
    await until(() => trees() === 1, patienceMs, 'and its tree')
    t.match(await statusOf(where), { images: [{ name: 'a.raw', complete: true }] })
    await mount.unmount()

    await mount.server.close()
    await mount.mount()
    t.ok(readFileSync(view).equals(after), 'by the tree on the disk')
    await mount.unmount()
  },
)

t.test(
  'what was changed on the way is EIO, and no other block; a file system that can shares what both versions have',
  { skip: cannotMount || noVeritysetup },
  async t => {
    const disk = await makeLoopDisk(t, 'xfs', 600 * MiB)
    const mount = await mounted(t, join(disk.mountpoint, 'cache'))
    await refusesWrongBlocks(t, mount)
    await makeComplete(mount.where, 'a.raw')
    const { reflink, copy } = await upgraded(t, mount)
    t.ok(reflink > 20 * MiB, `${reflink} bytes are shared`)
    t.ok(copy < reflink / 4, `${copy} bytes were copied`)
    await mount.unmount()
  },
)
t.test(
  'readers under way when a new version appears see one version or the other, whole',
  { skip: cannotMount || noVeritysetup },
  async t => {
    const mount = await mounted(t)
    const { where, source, view } = mount
    await makeComplete(where, 'a.raw')
    const before = Buffer.from(sampleBytes(image, 0, image.sizeBytes))
    let [isOver, reads] = [false, 0]
    const seen = { before: 0, after: 0 }
    const after = Buffer.from(before)
    after.set(sampleBytes({ seed: 78, sizeBytes: 3 * MiB, dataShare: 1 }, 0, 3 * MiB), 20 * MiB)
    after[MiB]! ^= 1
    const read = async () => {
      while (!isOver) {
        // Past the page cache: session threads answer, and miss natively.
        const bytes = await run('dd', `if=${view}`, 'bs=256k', 'iflag=direct', 'status=none')
        if (bytes.equals(before)) seen.before++
        else if (bytes.equals(after)) seen.after++
        else t.fail(`read ${reads} is neither version`)
        reads++
      }
    }
    const readers = Promise.all([read(), read(), read()])
    try {
      const next = join(where.top, 'next.raw')
      writeFileSync(next, after)
      seal(next, `${next}.verity`)
      await until(() => seen.before >= 3, patienceMs, 'readers of the version of before')
      publish(next, source, 1_600_000_100)
      await until(() => seen.after >= 3, patienceMs, 'readers of the new version')
    } finally {
      isOver = true
      await readers
    }
    const { reads: counted, origin } = await statusOf(where)
    t.ok(counted.misses > 0)
    t.equal(origin.errors, 0)
    await mount.unmount()
  },
)

/** Some blocks at the origin are wrong for a while. */
async function refusesWrongBlocks(t: Test, { where, source, view, said }: Mounted): Promise<void> {
  const bytes = sampleBytes(image, 0, image.sizeBytes)
  const wrong = [5_000_000, 5_100_000, 17_000_001, image.sizeBytes - 1]
  for (const offset of wrong) flip(source, offset)
  const fd = openSync(view, 'r')
  const part = Buffer.alloc(65_536)
  let failed = 0
  for (let at = 0; at < image.sizeBytes; at += part.length) {
    try {
      readSync(fd, part, 0, part.length, at)
      if (!part.equals(bytes.subarray(at, at + part.length))) t.fail(`wrong bytes at ${at}`)
    } catch (error) {
      t.match(error, { code: 'EIO' })
      t.ok(
        wrong.some(offset => offset >= at && offset < at + part.length),
        `${at} has a wrong block`,
      )
      failed++
    }
  }
  closeSync(fd)
  t.equal(failed, 4)
  // A thread of its own writes the log, after the event.
  for (const offset of wrong) {
    const line = new RegExp(`"offsets":\\[[^\\]]*\\b${offset - (offset % 4096)}\\b`)
    await until(() => line.test(said()), patienceMs, `${offset} in the log`)
  }
  const { origin } = await statusOf(where)
  t.ok(origin.errors >= 12, `${origin.errors} answers count against the origin`)
  for (const offset of wrong) flip(source, offset)
}

/** The image is complete here, and gets a new version. */
async function upgraded(t: Test, { where, source, view }: Mounted) {
  const before = (await statusOf(where)).origin.bytes
  const after = Buffer.from(sampleBytes(image, 0, image.sizeBytes))
  const changedBytes = 3 * MiB + 4096
  after.set(sampleBytes({ seed: 77, sizeBytes: 3 * MiB, dataShare: 1 }, 0, 3 * MiB), 9 * MiB)
  after[30 * MiB]! ^= 1
  // In the place of the older files, as publishers do it.
  const next = join(where.top, 'next.raw')
  writeFileSync(next, after)
  seal(next, `${next}.verity`)
  publish(next, source, 1_600_000_100)
  const cost = (await parentfs('images', '--delta', 'a.raw', '--json', '-m', where.mountpoint)).stdout
  t.match(JSON.parse(`${cost}`), { changedBytes, sameBytes: image.sizeBytes - changedBytes, reason: null })
  const { images } = await statusOf(where)
  t.match(images, [{ name: 'a.raw', proof: { trust: 'pinned', reason: null } }])
  await until(async () => (await run('cat', view)).equals(after), patienceMs, 'the new version')
  const { origin } = await statusOf(where)
  const share = (origin.bytes - before) / changedBytes
  t.ok(share < 1.1, `${share} of the changed bytes were fetched`)
  await makeComplete(where, 'a.raw')
  const said = (await parentfs('metrics', where.mountpoint)).stdout.toString()
  const taken = (way: string) =>
    Number(new RegExp(`^parentfs_taken_bytes_total.*"${way}".* (\\d+)$`, 'm').exec(said)?.[1])
  return { after, reflink: taken('reflink'), copy: taken('copy') }
}

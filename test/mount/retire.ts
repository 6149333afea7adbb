/**
 * Images that are replaced or deleted upstream, hundreds of times, on a real mount: descriptors, files, nodes, threads
 * and memory of the worker come back to the needs of the names. A reader with an old version open keeps it.
 *
 * REPLACEMENTS=n sets their number.
 */
import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { originDescriptorsMax } from '../../src/base/limits.ts'
import { cannotMount, mountDaemon, type Place, patienceMs, place, statusOf, stop } from '../fixtures/daemon.ts'
import { forEachAtOnce } from '../fixtures/mounted-file.ts'
import { pattern } from '../fixtures/pattern.ts'
import { descriptorsOf, usageOf } from '../fixtures/process-usage.ts'
import { until } from '../fixtures/until.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const replacements = Number(process.env.REPLACEMENTS ?? 240)
const names = Array.from({ length: 80 }, (_, k) => `image-${k}.raw`)
const rounds = Math.ceil(replacements / names.length)
/** The pause that a worker makes before it lets a version go, and then some. */
const goneMsMax = 3 * patienceMs

const contentOf = (name: string, version: number) =>
  Buffer.from(pattern(name.length * 1000 + version, 0, 100 * KiB + version))

/** Put a version of every image into the origin, each at once. */
function publish({ top, originDirectory }: Place, version: number): void {
  const unnamed = join(top, 'unnamed')
  for (const name of names) {
    writeFileSync(unnamed, contentOf(name, version))
    renameSync(unnamed, join(originDirectory, name))
  }
}

/** Read that version of every image, once the kernel has asked for it anew, which it does after a second. */
async function readAll({ mountpoint }: Place, version: number): Promise<void> {
  await forEachAtOnce(names, 16, async name => {
    const wanted = contentOf(name, version)
    const path = join(mountpoint, name)
    await until(() => statSync(path).size === wanted.length, patienceMs, `version ${version} of ${name}`)
    if (!(await readFile(path)).equals(wanted)) throw new Error(`wrong bytes of ${name}`)
  })
}

/**
 * Wait until no more than so many versions have no name, and so many have gone: one that is not known any more may
 * still be going. Then what the worker holds.
 */
async function settled(where: Place, nameless: number, retired: number) {
  const look = async () => {
    const { retirement, promotion, gauges } = await statusOf(where)
    const isOver = retirement.superseded <= nameless && retirement.retired >= retired
    return isOver && promotion.queuedBytes === 0 && gauges.requests === 0
  }
  await until(look, goneMsMax, `at most ${nameless} versions without a name, and ${retired} gone`)
  const { pid, gauges, retirement } = await statusOf(where)
  const files = readdirSync(join(where.cacheDirectory, 'images')).length
  // By path: the scrub has its own way to a data file, for as long as it likes. The directory itself is held open.
  const opened = descriptorsOf(pid).filter(path => path.startsWith(join(where.cacheDirectory, 'images/')))
  return { ...usageOf(pid), files, dataFiles: new Set(opened).size, nodes: gauges.nodes, retirement }
}

t.test(
  `${rounds * names.length} replacements leave what the names need`,
  { skip: cannotMount, timeout: 0 },
  async t => {
    const where = place(t)
    publish(where, 0)
    const daemon = await mountDaemon(t, where, '--revalidate', '0s', '--block-size', '4KiB')
    await readAll(where, 0)
    const held = await open(join(where.mountpoint, names[0]!))
    await held.read(Buffer.alloc(4096), 0, 4096, 0)
    const before = await settled(where, 0, 0)
    let mostDescriptors = 0
    for (let version = 1; version <= rounds; version++) {
      publish(where, version)
      await readAll(where, version)
      mostDescriptors = Math.max(mostDescriptors, usageOf((await statusOf(where)).pid).descriptors)
    }
    const after = await settled(where, 1, rounds * names.length - 1)
    t.comment(JSON.stringify({ before, after, mostDescriptors }))
    t.equal(after.retirement.retired, rounds * names.length - 1)
    t.equal(after.files, names.length + 1)
    t.ok(after.nodes <= names.length + 1, `${after.nodes} nodes`)
    t.same([before.dataFiles, after.dataFiles], [names.length, names.length + 1])
    // The origin keeps some of what it has read open.
    const more = originDescriptorsMax + names.length
    t.ok(after.descriptors <= before.descriptors + more, `${after.descriptors} descriptors after ${before.descriptors}`)
    t.equal(after.threads, before.threads)
    t.ok(after.rssAnonBytes < before.rssAnonBytes + 48 * MiB, 'memory')
    const bytes = Buffer.alloc(50 * KiB)
    await held.read(bytes, 0, bytes.length, 0)
    t.ok(bytes.equals(contentOf(names[0]!, 0).subarray(0, bytes.length)), 'who has it open reads what is held of it')
    await held.close()
    const closed = await settled(where, 0, rounds * names.length)
    t.equal(closed.files, names.length)

    // Deleted: the names are not looked up again, one listing tells.
    await readdir(where.mountpoint)
    for (const name of names) rmSync(join(where.originDirectory, name))
    await until(async () => (await readdir(where.mountpoint)).length === 0, patienceMs, 'an empty listing')
    const isEmpty = () => readdirSync(join(where.cacheDirectory, 'images')).length === 0
    await until(isEmpty, goneMsMax, 'an empty store')
    const deleted = await settled(where, 0, (rounds + 1) * names.length)
    t.equal(deleted.nodes, 0)
    t.equal(deleted.dataFiles, 0)
    t.equal(await stop(daemon), 0)
  },
)

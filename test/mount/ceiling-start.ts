/**
 * A start in a cache directory that is over its ceiling: nothing is promoted until it is under, its size only goes down
 * until then, and it is never over again. Sampled from the exec on, by du and by the file system's own count.
 *
 * Causes: a ceiling that was lowered while no daemon ran; bytes without records, as a kill leaves them in the middle of
 * promotions; data files without records; foreign files.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import { cannotMount, mountDaemon, type Place, patienceMs, place, statusOf, stop } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { killDaemon } from '../fixtures/kills.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { seed } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'
import { describePauses, startSampler, type Track } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const mebibytes = (bytes: number) => (bytes / MiB).toFixed(2)
const churn = Number(process.env.CHURN ?? 0)
const roomyBytes = 48 * MiB
const samples = {
  'a.raw': { seed: 71, sizeBytes: 60 * MiB + 7, dataShare: 0.95 },
  'b.raw': { seed: 72, sizeBytes: 40 * MiB, dataShare: 0.95 },
}
const images = new Map(
  Object.entries(samples).map(([name, image]) => [name, [sampleBytes(image, 0, image.sizeBytes)] as const]),
)
/**
 * Bytes that a start writes while it is over: pages of the index that forgetting takes, and its copy when it was not
 * closed.
 */
const indexBytesMax = 1.5 * MiB

/** Cause of a directory over the ceiling, told by its remains. */
interface Case {
  /** The others run with CHURN=10. */
  readonly usual: 'ext4' | 'xfs'
  readonly ceilingBytes: number
  readonly end: 'killed' | 'stopped'
  /** Also in the directory, before the start. */
  readonly leave: (cache: string) => void
}

const cases: Readonly<Record<string, Case>> = {
  'killed while promoting, the ceiling lowered then': {
    usual: 'xfs',
    ceilingBytes: 14 * MiB,
    end: 'killed',
    leave: () => {},
  },
  'stopped, the ceiling lowered then': { usual: 'ext4', ceilingBytes: 14 * MiB, end: 'stopped', leave: () => {} },
  'bytes without records in its data files': {
    usual: 'xfs',
    ceilingBytes: roomyBytes,
    end: 'killed',
    leave: fillHoles,
  },
  'data files without records, and what others left': {
    usual: 'ext4',
    ceilingBytes: roomyBytes,
    end: 'killed',
    leave: strayFiles,
  },
}

for (const type of ['ext4', 'xfs'] as const) {
  for (const [what, { usual, ceilingBytes, end, leave }] of Object.entries(cases)) {
    if (type !== usual && churn < 10) continue
    t.test(`${type}: ${what} (SEED=${seed})`, { skip: cannotMount, timeout: 240_000 }, async t => {
      const disk = await makeLoopDisk(t, type, 400 * MiB)
      const emptyBytes = disk.takenBytes()
      const where = { ...place(t), cacheDirectory: join(disk.mountpoint, 'cache') }
      for (const [name, image] of Object.entries(samples)) writeSample(join(where.originDirectory, name), image)
      await fillAndEnd(where, end)
      leave(where.cacheDirectory)
      const overBytes = disk.takenBytes() - emptyBytes
      t.ok(overBytes > ceilingBytes, `${mebibytes(overBytes)} MiB are there`)
      const sampler = await startSampler(t, where.cacheDirectory, { ceilingBytes, emptyBytes })
      const daemon = await mountDaemon(t, where, '--capacity', `${ceilingBytes}`, '--block-size', '4KiB')
      const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 4, seed: seed + 1 })
      t.teardown(() => readers.stop())
      await readers.haveRead(1500, 3 * patienceMs)
      // Reads are answered while it is over; promotions begin once it is under.
      const promotes = async () => (await statusOf(where)).promotion.promotedBytes > 0
      await until(promotes, 3 * patienceMs, 'promoting goes on')
      t.match(await readers.stop(), { wrong: [], failed: 0 })
      const { promotion } = await statusOf(where)
      const sample = await sampler.stop()
      t.comment(`${mebibytes(ceilingBytes)} MiB allowed; ${describePauses(sample)}; ${JSON.stringify(promotion)}`)
      for (const [counted, track] of Object.entries({ files: sample.files, 'file system': sample.fileSystem })) {
        t.comment(describe(counted, track))
        t.ok(track.firstBytes > ceilingBytes, `${counted}: over at first`)
        t.ok(track.underAfterMs !== null, `${counted}: under at last`)
        t.ok(track.riseBytes <= indexBytesMax, `${counted}: only down, but for ${track.riseBytes} bytes`)
        t.ok(track.highestSinceUnderBytes <= ceilingBytes, `${counted}: ${track.highestSinceUnderBytes} afterwards`)
      }
      const notes = join(where.cacheDirectory, 'notes')
      if (leave === strayFiles) t.ok(existsSync(notes) && existsSync(join(disk.mountpoint, 'elsewhere')), 'not ours')
      t.equal(await stop(daemon), 0)
    })
  }
}

function describe(counted: string, { firstBytes, riseBytes, underAfterMs, highestSinceUnderBytes }: Track): string {
  const rise = (riseBytes / KiB).toFixed(0)
  return (
    `${counted}: ${mebibytes(firstBytes)} MiB at first, ${rise} KiB more at most, under after ${underAfterMs?.toFixed(0)} ms, ` +
    `then at most ${mebibytes(highestSinceUnderBytes)}`
  )
}

/** Fill a cache under load; then the daemon ends, in the middle of it or not. */
async function fillAndEnd(where: Place, end: Case['end']): Promise<void> {
  const ends: (() => unknown)[] = []
  const filling = { teardown: (each: () => unknown) => ends.push(each) }
  const daemon = await mountDaemon(filling, where, '--capacity', `${roomyBytes}`, '--block-size', '4KiB')
  const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 4, seed })
  const isFull = async () => (await statusOf(where)).eviction.objects > 0
  await until(isFull, 3 * patienceMs, 'a full cache')
  if (end === 'stopped') {
    await readers.stop()
    await stop(daemon)
    return
  }
  const { pid } = await statusOf(where)
  await killDaemon('supervisor, worker', where, daemon, pid)
  await readers.stop()
  for (const each of ends) await each()
}

/** Random bytes all over the largest data file: where it had some they are damage, elsewhere they have no record. */
function fillHoles(cache: string): void {
  const directory = join(cache, 'images')
  const sizeOf = (name: string) => statSync(join(directory, name)).size
  const [largest] = readdirSync(directory).sort((a, b) => sizeOf(b) - sizeOf(a))
  const fd = openSync(join(directory, largest!), 'r+')
  for (let at = 0; at < sizeOf(largest!) - MiB; at += MiB) writeSync(fd, randomBytes(MiB), 0, MiB, at)
  closeSync(fd)
}

/** Files without an owner: in images/ they go; elsewhere they stay, and count. */
function strayFiles(cache: string): void {
  const [images, index] = [join(cache, 'images'), join(cache, 'index')]
  writeFileSync(join(images, '0123456789abcdef0123456789abcdef'), randomBytes(9 * MiB))
  mkdirSync(join(images, 'somebody', 'else'), { recursive: true })
  writeFileSync(join(images, 'somebody', 'else', 'notes'), randomBytes(5 * MiB))
  writeFileSync(join(cache, 'PROBE'), randomBytes(MiB))
  mkdirSync(join(index, 'salvaged'))
  writeFileSync(join(index, 'salvaged', 'data.mdb'), randomBytes(4 * MiB))
  mkdirSync(join(cache, 'notes', 'deep'), { recursive: true })
  writeFileSync(join(cache, 'notes', 'deep', 'mine'), randomBytes(6 * MiB))
  const elsewhere = join(cache, '..', 'elsewhere')
  writeFileSync(elsewhere, 'not ours')
  symlinkSync(elsewhere, join(images, 'link'))
}

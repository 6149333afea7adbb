/**
 * Page cache: a buffered reader has each byte once in memory, and a direct reader finds it in that of the data file.
 */
import { readdirSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, makeComplete, mountDaemon, patienceMs, place, stop, transport } from '../fixtures/daemon.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2

/** A file system that has its pages after so many milliseconds keeps them. */
const keptMsMax = 10_000

/** RWF_DONTCACHE on ext4, xfs and btrfs alike. */
const [major, minor] = release().split('.').map(Number) as [number, number]
const canDropAtOnce = major > 6 || (major === 6 && minor >= 16)

const skip =
  cannotMount || (transport === 'kernel' ? false : 'fuse-native does not know who reads through the page cache')

t.test('buffered reads leave their pages with the mounted file alone', { skip }, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), { seed: 5, sizeBytes: 24 * MiB, dataShare: 1 })
  const daemon = await mountDaemon(t, where, '--no-passthrough')
  await makeComplete(where, 'a.raw')
  const target = join(where.mountpoint, 'a.raw')
  const images = join(where.cacheDirectory, 'images')
  const data = join(images, readdirSync(images)[0]!)
  const drop = async () => {
    for (const file of [target, data]) await run('dd', `if=${file}`, 'iflag=nocache', 'count=0', 'status=none')
  }
  /** Pages that are being read meanwhile stay: ahead of a reader, or for the next one after an answer. */
  const dropped = async () => {
    await drop()
    return (await residentBytes(target)) + (await residentBytes(data)) === 0
  }
  await run('sync', data)
  const isEmpty = await until(dropped, keptMsMax, 'an empty page cache').then(
    () => true,
    () => false,
  )
  if (!isEmpty) {
    t.pass('pages', { skip: 'this file system keeps its pages' })
    return
  }

  // A stream drops behind it what it has left; its end stays: two units of 2 MiB.
  await run('dd', `if=${target}`, 'of=/dev/null', 'bs=1M', 'status=none')
  t.equal(await residentBytes(target), 24 * MiB)
  // Behind the reader: after the answers.
  await until(async () => (await residentBytes(data)) <= 4 * MiB, patienceMs, 'few bytes to be there twice')

  await until(dropped, patienceMs, 'an empty page cache')
  const step = (...more: string[]) =>
    run('dd', `if=${target}`, 'of=/dev/null', 'bs=4k', 'count=1', 'status=none', ...more)
  for (let k = 0; k < 50; k++) await step(`skip=${(k * 1009) % 6000}`)
  const left = await residentBytes(data)
  t.ok((await residentBytes(target)) >= 50 * 4096)
  // Pages that the kernel read ahead at the begin of the file may stay.
  if (canDropAtOnce) t.ok(left <= 25 * 4096, `${left} bytes are there twice`)
  else t.pass('pages', { skip: `Linux ${release()} may have no RWF_DONTCACHE` })

  await until(dropped, patienceMs, 'an empty page cache')
  for (let k = 0; k < 50; k++) await step(`skip=${(k * 1009) % 6000}`, 'iflag=direct')
  t.equal(await residentBytes(target), 0)
  // The stream has bypassed nearly all of it: each of these brings the 64 KiB around it back.
  const isBack = async () => (await residentBytes(data)) >= 30 * 64 * 1024
  await until(isBack, patienceMs, 'what has no pages of its own to bring back those of the data file')
  await stop(daemon)
})

/** Of the page cache. */
async function residentBytes(path: string): Promise<number> {
  return Number((await run('fincore', '--bytes', '--noheadings', '--output', 'RES', path)).toString())
}

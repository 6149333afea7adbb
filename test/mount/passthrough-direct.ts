/** Opens of one complete image with and without O_DIRECT at once, in every order and through all that happens to it. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  capabilities,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { openPassed } from '../fixtures/passed.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (capabilities.passthrough ? false : 'this transport has no passthrough') }
const MiB = 1024 ** 2
const image = { seed: 31, sizeBytes: 4 * MiB + 512, dataShare: 0.9 }
const wanted = sampleBytes(image, 0, image.sizeBytes)

/** Maps the first file of a descriptor with O_DIRECT, and compares it with the second. */
const mapper = `import mmap,os,sys
fd=os.open(sys.argv[1],os.O_RDONLY|os.O_DIRECT); seen=mmap.mmap(fd,0,mmap.MAP_SHARED,mmap.PROT_READ)
assert seen[:]==open(sys.argv[2],"rb").read()`

type Kind = 'buffered' | 'direct'
const kinds = ['buffered', 'direct'] as const
const flags = { buffered: constants.O_RDONLY, direct: constants.O_RDONLY | constants.O_DIRECT }

/** Neither the offset nor the length nor the memory fits any disk. */
const odd = { offset: MiB + 13, length: 70_001 }

interface Opened {
  readonly what: string
  readonly handle: FileHandle
}

async function mounted(
  t: Test,
  ...more: string[]
): Promise<{
  readonly where: Place
  readonly opens: Opened[]
  readonly openAs: (kind: Kind, when: string) => Promise<Opened>
}> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where, ...more)
  const opens: Opened[] = []
  t.teardown(() => Promise.all(opens.map(({ handle }) => handle.close().catch(() => {}))))
  const openAs = async (kind: Kind, when: string) => {
    const opened = { what: `${kind}, ${when}`, handle: await open(join(where.mountpoint, 'a.raw'), flags[kind]) }
    opens.push(opened)
    return opened
  }
  return { where, opens, openAs }
}

async function readsOddly({ what, handle }: Opened, t: Test): Promise<void> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(odd.length + 1), 1, odd.length, odd.offset)
  const right = wanted.subarray(odd.offset, odd.offset + odd.length)
  t.ok(bytesRead === odd.length && buffer.subarray(1).equals(right), `an odd read, ${what}`)
}

/** Reads answered by us since the last call. */
function countingReads(where: Place): () => Promise<number> {
  let before = 0
  return async () => {
    const { reads } = await statusOf(where)
    const since = reads.hits + reads.misses - before
    before += since
    return since
  }
}

t.test('odd reads with O_DIRECT work on a partial image, and go on on a complete one', options, async t => {
  const { where, opens, openAs } = await mounted(t)
  for (const kind of kinds) await readsOddly(await openAs(kind, 'of a partial image'), t)
  await makeComplete(where, 'a.raw')
  for (const opened of opens) await readsOddly(opened, t)
  const readsByUs = countingReads(where)
  const first = { what: 'by passthrough', handle: await openPassed(t, where, 'a.raw') }
  await readsByUs()
  await readsOddly(first, t)
  t.equal(await readsByUs(), 0, 'a buffered open asks nobody')
  const direct = await openAs('direct', 'of a complete image')
  t.match((await statusOf(where)).passthrough, { openNow: 2, images: 1 })
  await readsOddly(direct, t)
  t.equal(await readsByUs(), 1, 'one with O_DIRECT asks us')
  await run('python3', '-c', mapper, join(where.mountpoint, 'a.raw'), join(where.originDirectory, 'a.raw'))
  t.equal(await readsByUs(), 0, 'its mappings ask nobody')
})

t.test('both kinds of open go together, whichever comes first, and a takeover ends neither', options, async t => {
  const { where, opens, openAs } = await mounted(t)
  await makeComplete(where, 'a.raw')
  await (await openPassed(t, where, 'a.raw')).close()
  const areReleased = async () => (await statusOf(where)).passthrough.openNow === 0
  await until(areReleased, patienceMs, 'the first release')
  for (const first of kinds) {
    const second = first === 'direct' ? 'buffered' : 'direct'
    for (const kind of [first, second, second, first] as const) await openAs(kind, `${first} first`)
    t.match((await statusOf(where)).passthrough, { openNow: 4, images: 1 }, `${first} first`)
    for (const opened of opens) await readsOddly(opened, t)
    for (const { handle } of opens.splice(0)) await handle.close()
    await until(areReleased, patienceMs, 'the releases')
  }
  for (const kind of kinds) await openAs(kind, 'before the kill')
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGKILL')
  for (const kind of kinds) await openAs(kind, 'while there is no worker')
  await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
  for (const kind of kinds) await openAs(kind, 'of the next worker')
  await parentfs('evict', where.mountpoint)
  for (const opened of opens) await readsOddly(opened, t)
  for (const { handle } of opens.splice(0)) await handle.close()
  // Something forgotten would hold the data file.
  const isEvicted = async () => {
    await parentfs('evict', join(where.mountpoint, 'a.raw'))
    return (await statusOf(where)).images[0]!.residentBytes === 0
  }
  await until(isEvicted, patienceMs, 'the eviction of what is open no more')
  await readsOddly(await openAs('direct', 'evicted'), t)
})

t.test('openers of both kinds see no error while it is completed, evicted and taken over', options, async t => {
  const { where } = await mounted(t)
  const readers = new CheckingReaders({
    mountpoint: where.mountpoint,
    images: new Map([['a.raw', [wanted]]]),
    count: 4,
    seed: 7,
  })
  for (let round = 0; round < 3; round++) {
    await parentfs('promote', join(where.mountpoint, 'a.raw'))
    const { pid, passthrough } = await statusOf(where)
    const isPassed = async () => (await statusOf(where)).passthrough.opens > passthrough.opens
    await until(isPassed, patienceMs, 'opens by passthrough')
    process.kill(pid, 'SIGKILL')
    await readers.haveRead(readers.report().reads + 100, patienceMs)
    await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
    await parentfs('evict', join(where.mountpoint, 'a.raw'))
  }
  const { failed, wrong, errors } = await readers.stop()
  t.same({ failed, wrong }, { failed: 0, wrong: [] }, errors.join())
})

t.test('when all opens are passed, O_DIRECT is of the disk; when none is, all come to us', options, async t => {
  const always = await mounted(t, '--passthrough', 'always')
  await makeComplete(always.where, 'a.raw')
  const first = { what: 'buffered', handle: await openPassed(t, always.where, 'a.raw') }
  const readsByUs = countingReads(always.where)
  await readsByUs()
  // Its memory and offsets are aligned.
  const target = join(always.where.mountpoint, 'a.raw')
  await run('dd', `if=${target}`, 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none')
  await readsOddly(first, t)
  t.equal(await readsByUs(), 0)
  const never = await mounted(t, '--passthrough', 'never')
  await makeComplete(never.where, 'a.raw')
  for (const kind of kinds) await readsOddly(await never.openAs(kind, 'never'), t)
  t.match((await statusOf(never.where)).passthrough, { off: 'the configuration says so', opens: 0 })
})

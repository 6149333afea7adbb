/** Published boot profiles on a real mount: recorded by the command, put beside the image, there at the first open. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseProfileFile } from '../../src/cache/prefetch/profile-file.ts'
import { profileSuffix } from '../../src/origin/contract/image-name.ts'
import {
  cannotMount,
  command,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  readingAhead,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const block = 64 * KiB
/** Blocks that nothing but a profile foresees. */
const blocks = Array.from({ length: 12 }, (_, k) => (k * k * 37 + 11) % 700)

/** A command that reads them past the page cache. */
const readingThem = [
  'sh',
  '-c',
  blocks.map(at => `dd if={} of=/dev/null bs=64K count=1 iflag=direct skip=${at}`).join('&&'),
]

/** Reads by dd: a mount must never be waited for by the thread that may serve it. */
async function readThem({ mountpoint }: Place, name: string): Promise<void> {
  const path = join(mountpoint, name)
  await run('sh', '-c', readingThem[2]!.replaceAll('{}', path).replaceAll('count=1', 'count=1 status=none'))
}

t.test(
  'a recorded profile has the reads of its command, and is there at the first open',
  { skip: cannotMount },
  async t => {
    const where = place(t)
    for (const name of ['a.raw', 'bare.raw']) {
      writeSample(join(where.originDirectory, name), { seed: 5, sizeBytes: 48 * MiB, dataShare: 1 })
    }
    const source = join(where.originDirectory, 'a.raw')
    const file = `${source}${profileSuffix}`
    t.match(await parentfs('profile', 'record', '--output', file, source, '--', ...readingThem), {
      code: 0,
      stdout: /768 KiB in 12 steps/,
    })
    const { ranges, ...facts } = parseProfileFile(readFileSync(file, 'utf8'))
    t.same(facts, { sizeBytes: 48 * MiB, validator: null })
    // Not in their order: reads that session threads answered are told of after requests of the same time.
    const inOrder = blocks.toSorted((a, b) => a - b).map(at => [at * block, block])
    t.same(
      ranges.toSorted(([a], [b]) => a - b),
      inOrder,
    )
    t.match(await parentfs('profile', 'check', file, source), { code: 0, stdout: /any version of this size/ })
    t.equal((await parentfs('profile', 'check', file, file)).code, 1)

    const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 10 })
    t.teardown(() => origin.close())
    const overHttp = { ...where, origin: origin.url }
    const daemon = await mountDaemon(t, overHttp, ...readingAhead)
    const handle = await open(join(where.mountpoint, 'a.raw'))
    const residentBytes = async () => (await statusOf(where)).images.find(({ name }) => name === 'a.raw')?.residentBytes
    await until(async () => (await residentBytes()) === blocks.length * block, patienceMs, 'the blocks of the profile')
    await handle.close()
    await readThem(where, 'a.raw')
    const after = await statusOf(where)
    t.equal(after.reads.misses, 0, 'no read of the boot waited')
    t.match(after.prefetch.profiles.published, { found: 1, replayed: { version: 1 } })
    await readThem(where, 'bare.raw')
    // One that a session thread answered from the origin is counted when its answer has gone out.
    const isCounted = async () => {
      const { hits, misses } = (await statusOf(where)).reads
      return hits + misses === 2 * blocks.length
    }
    await until(isCounted, patienceMs, 'the counts')
    const bare = await statusOf(where)
    t.equal(bare.reads.misses, blocks.length, 'without a profile all of them did')
    t.match(bare.prefetch.profiles.published, { found: 1, refused: { absent: 1 } })
    t.equal(await stop(daemon), 0)
  },
)

t.test('a recording that fails writes nothing, and leaves nothing behind', { skip: cannotMount }, async t => {
  const where = place(t)
  const [source, file] = [join(where.originDirectory, 'a.raw'), join(where.top, 'out')]
  writeSample(source, { seed: 5, sizeBytes: MiB, dataShare: 1 })
  writeFileSync(file, 'of before')
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[source, '--', 'sh', '-c', 'exit 7'], 7, /exit code 7: no profile is written/],
    [[source, '--', 'true'], 1, /nothing of a\.raw was read/],
    [['--time', '100ms', source, '--', 'sleep', '1000'], 143, /was ended after 0\.1 s/],
    [[source, '--', join(where.top, 'no-such-command')], 1, /cannot be started/],
    [[join(where.originDirectory, 'none.raw'), '--', 'cat', '{}'], 1, /the origin has no image of this name/],
    [[source], 1, /COMMAND after "--", or --boot/],
    [['https://host/images/', '--', 'true'], 1, /names no image/],
  ]
  // Others may record on this machine.
  const [program, ...more] = command
  const record = (...words: string[]) => attempt(program, `TMPDIR=${where.top}`, ...more, 'profile', 'record', ...words)
  const before = readdirSync(where.top)
  for (const [words, code, stderr] of cases) {
    t.match(await record('--output', file, ...words), { code, stderr }, words.join(' '))
  }
  t.equal(readFileSync(file, 'utf8'), 'of before')
  t.same(readdirSync(where.top), before)
  t.notOk(readFileSync('/proc/self/mounts', 'utf8').includes(where.top))
})

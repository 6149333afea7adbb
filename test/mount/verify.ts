/** Bytes that rot on the cache disk, or that never had their publisher's digest, through the real command. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  type Daemon,
  logs,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { damage } from '../fixtures/damage.ts'
import { type SampleImage, sampleBytes, writeSample } from '../fixtures/images.ts'
import { killDaemon } from '../fixtures/kills.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const image: SampleImage = { seed: 31, sizeBytes: 5 * 1024 * 1024 + 321, dataShare: 1 }
const bytes = sampleBytes(image, 0, image.sizeBytes)
const hash = createHash('sha256').update(bytes).digest('hex')

/** A mount of one image, all of it in the store. */
async function complete(t: Test, sums: string | null): Promise<{ where: Place; daemon: Daemon }> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  if (sums !== null) writeFileSync(join(where.originDirectory, 'SHA256SUMS'), `${sums}  a.raw\n`)
  const daemon = await mountDaemon(t, where)
  if (sums === null || sums === hash) await makeComplete(where, 'a.raw')
  return { where, daemon }
}

function dataFile({ cacheDirectory }: Place): string {
  const directory = join(cacheDirectory, 'images')
  const name = readdirSync(directory).find(file => statSync(join(directory, file)).size === image.sizeBytes)
  return join(directory, name!)
}

/** Past the page cache of the mount. */
async function isRight({ mountpoint }: Place): Promise<boolean> {
  return (await run('dd', `if=${join(mountpoint, 'a.raw')}`, 'bs=1M', 'iflag=direct', 'status=none')).equals(bytes)
}

async function digestOf(where: Place): Promise<string | undefined> {
  return (await statusOf(where)).images.find(({ name }) => name === 'a.raw')?.digest
}

t.test('verify finds what is damaged, drops it, and says so; the next one finds nothing', options, async t => {
  const { where } = await complete(t, hash)
  await until(async () => (await digestOf(where)) === 'verified', patienceMs, 'the digest')
  t.match(await parentfs('verify', where.mountpoint), {
    code: 0,
    stdout: /a\.raw: .* no damaged block, as its publisher/,
  })
  damage(dataFile(where), 3_000_000)
  const found = await parentfs('verify', where.mountpoint, 'a.raw')
  t.match(found, { code: 1, stdout: /1 damaged blocks dropped/, stderr: /^a\.raw: verifying blocks, 5 MiB in all\n/ })
  t.ok(await isRight(where))
  await makeComplete(where, 'a.raw')
  t.match(await parentfs('verify', where.mountpoint, 'a.raw'), { code: 0 })
  for (const words of [
    ['a.raw', '-m', where.mountpoint],
    [join(where.mountpoint, 'a.raw')],
    ['-m', where.mountpoint],
  ]) {
    t.match(await parentfs('verify', ...words), { code: 0, stdout: /^a\.raw: / }, words.join(' '))
  }
  t.match(await parentfs('verify', where.mountpoint, '-m', '/elsewhere'), { code: 1 })
  t.match(await parentfs('verify', where.mountpoint, 'b.raw'), {
    code: 1,
    stderr: /^parentfs: there is no image "b.raw"/,
  })
  t.match(await parentfs('verify', where.top), { code: 1, stderr: /^parentfs: .* is not a parentfs mount/ })
})

t.test('the scrub finds damage in published blocks by itself', options, async t => {
  const { where, daemon } = await complete(t, null)
  t.equal(await stop(daemon), 0)
  const file = join(where.top, 'p.yaml')
  const cache = `{ directory: ${where.cacheDirectory}, scrubInterval: 10s }`
  writeFileSync(file, `mountpoint: ${where.mountpoint}\norigin: { url: "${where.origin}" }\ncache: ${cache}\n`)
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  t.teardown(() => parentfs('unmount', where.mountpoint))
  t.ok(await isRight(where), 'all of it is published')
  damage(dataFile(where), 1_000_000)
  const corrupt = async () => (await statusOf(where)).scrub.corruptBlocks === 1
  await until(corrupt, patienceMs, 'the finding')
  t.ok(await isRight(where))
  t.equal(await digestOf(where), 'none')
})

t.test('after a restart the scrub publishes what is right, and the origin is asked nothing', options, async t => {
  const { where, daemon } = await complete(t, hash)
  await until(async () => (await digestOf(where)) === 'verified', patienceMs, 'the digest')
  t.equal(await stop(daemon), 0)
  await mountDaemon(t, where)
  const verified = async () => (await statusOf(where)).scrub.verifiedBytes >= image.sizeBytes
  await until(verified, patienceMs, 'the scrub')
  t.ok(await isRight(where))
  t.match(await statusOf(where), { origin: { requests: 0 }, reads: { misses: 0 }, images: [{ digest: 'verified' }] })
})

t.test('an image that is not what its publisher says cannot be read, until it is', options, async t => {
  const { where } = await complete(t, '0'.repeat(64))
  const read = () => attempt('dd', `if=${join(where.mountpoint, 'a.raw')}`, 'of=/dev/null', 'bs=1M', 'iflag=direct')
  const mismatch = async () => {
    await read()
    return (await digestOf(where)) === 'mismatch'
  }
  await until(mismatch, patienceMs, 'the digest')
  t.match(await read(), { code: 1, stderr: /Input\/output error/ })
  t.match(await parentfs('verify', where.mountpoint), { code: 1, stdout: /NOT what its publisher says/ })
  t.match(readFileSync(join(where.mountpoint, 'SHA256SUMS'), 'utf8'), /^0{64}/, 'the file of sums stays a file')
  writeFileSync(join(where.originDirectory, 'SHA256SUMS'), `${hash}  a.raw\n`)
  t.match(await parentfs('verify', where.mountpoint), { code: 0, stdout: /a\.raw: .* as its publisher says/ })
  t.ok(await isRight(where))
})

t.test(
  'an index of garbage after kill -9 costs the cache, one log line says so, and reads are right',
  options,
  async t => {
    const { where, daemon } = await complete(t, null)
    await killDaemon('stopped supervisor', where, daemon, (await statusOf(where)).pid)
    const path = join(where.cacheDirectory, 'index', 'data.mdb')
    const content = readFileSync(path)
    for (let at = 64; at < content.length; at++) content[at] = (at * 7) & 0xff
    writeFileSync(path, content)
    const next = await mountDaemon(t, where)
    await logs(next, /the index may be damaged (and was not copied: the cache starts empty|.*were copied)/)
    t.ok(await isRight(where))
  },
)

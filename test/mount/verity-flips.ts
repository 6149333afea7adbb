/**
 * Flipped bits under a sealed image on a real mount: in the cache's data and tree files, at a member of a group, and at
 * a mirror. No wrong byte is served, and each flip is counted and located. `FLIPS=n` makes it longer.
 */
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { formatSums, sumsHeader } from '../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../src/native/addon.ts'
import type { ImageLocation } from '../../src/origin/locations/image-location.ts'
import { cannotMount, makeComplete, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { flipBit } from '../fixtures/damage.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { MemberServer } from '../fixtures/member-server.ts'
import { run } from '../fixtures/run.ts'
import { noVeritysetup, seal } from '../fixtures/sealed-images.ts'
import { seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024
const blockBytes = 4096
const flips = Number(process.env.FLIPS ?? 200)
const seed = Number(process.env.SEED ?? 20261123)
const image = { seed: 47, sizeBytes: Math.max(16 * MiB, flips * 8 * blockBytes), dataShare: 1 }
const bytes = sampleBytes(image, 0, image.sizeBytes)
const skip = cannotMount || noVeritysetup

/** Different blocks below `blocks`, drawn by the seed. */
function drawn(count: number, blocks: number, random: () => number): number[] {
  const found = new Set<number>()
  while (found.size < count) found.add(Math.floor(random() * blocks))
  return [...found].sort((a, b) => a - b)
}

/** A sealed image at a web server, and a mount of it with blocks of 4 KiB that fetches nothing ahead. */
async function world(
  t: Test,
  settings: { readonly origin?: string; readonly fleet?: string; readonly cache?: string; readonly delayMs?: number },
) {
  const where = place(t)
  const source = join(where.originDirectory, 'a.raw')
  writeSample(source, image)
  const rootHash = seal(source, `${source}.verity`)
  // Older than what may look the same to a web server: its first lookup need not wait.
  for (const path of [source, `${source}.verity`]) utimesSync(path, 1_600_000_000, 1_600_000_000)
  const server = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: settings.delayMs ?? 0 })
  t.teardown(() => server.close())
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
  const [file, log] = [join(where.top, 'p.yaml'), join(where.top, 'log')]
  const verify = `verify: { verity: require, rootHash: ${rootHash} }`
  const mount = async (
    more: { readonly origin?: string; readonly fleet?: string; readonly cache?: string } = settings,
  ) => {
    const directory = more.cache ?? where.cacheDirectory
    const cache = `{ directory: ${directory}, capacity: 300MiB, blockSize: ${blockBytes}, scrubRate: 64KiB }`
    const lines = [
      `mountpoint: ${where.mountpoint}`,
      `origin: { url: "${server.url}", ${more.origin ?? ''} ${verify} }`,
      `cache: ${cache}`,
      `log: { file: ${log} }`,
      ...(more.fleet ? [`fleet: ${more.fleet}`] : []),
    ]
    writeFileSync(file, lines.join('\n'))
    t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  }
  const view = join(where.mountpoint, 'a.raw')
  /** All of it, past the page cache of the mount. */
  const readsRight = async () => (await run('dd', `if=${view}`, 'bs=1M', 'iflag=direct', 'status=none')).equals(bytes)
  const offsetsIn = (message: RegExp) =>
    readFileSync(log, 'utf8')
      .split('\n')
      .slice(0, -1) // What follows the last end of a line is being written.
      .filter(line => message.test(line))
      .flatMap(line => (JSON.parse(line) as { offsets?: number[] }).offsets ?? [])
  /** Offsets in all lines of the log that say so, so many or more. A thread of its own writes them, after the event. */
  const located = async (message: RegExp, countMin: number) => {
    const offsets = () => [...new Set(offsetsIn(message))].sort((a, b) => a - b)
    await until(() => offsets().length >= countMin, patienceMs, `${countMin} offsets in the log`)
    return offsets()
  }
  const metric = async (kind: string) => {
    const { stdout } = await parentfs('metrics', where.mountpoint)
    const lines = stdout
      .toString()
      .split('\n')
      .filter(line => line.startsWith('parentfs_origin_wrong_blocks_total'))
    return Number(
      lines
        .find(line => line.includes(`kind="${kind}"`))
        ?.split(' ')
        .at(-1),
    )
  }
  return { where, mount, view, readsRight, located, metric }
}

type World = Awaited<ReturnType<typeof world>>

function onlyFile(directory: string, isWanted: (bytes: number) => boolean): string {
  const name = readdirSync(directory).find(file => isWanted(statSync(join(directory, file)).size))
  return join(directory, name!)
}

t.test(`flips in the cache directory, seed ${seed}; then a member that lies`, { skip, timeout: 300_000 }, async t => {
  const random = seeded(seed)
  const made = await world(t, {})
  const { where, mount, readsRight, located, metric } = made
  await mount()
  await makeComplete(where, 'a.raw')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  const data = onlyFile(join(where.cacheDirectory, 'images'), size => size === image.sizeBytes)
  const tree = onlyFile(join(where.cacheDirectory, 'trees'), () => true)
  const blocks = image.sizeBytes / blockBytes
  const flip = (path: string, block: number) =>
    flipBit(path, block * blockBytes + Math.floor(random() * blockBytes), Math.floor(random() * 8))

  // While it is not mounted: in the first half of the data, and in the tree that proves all of it.
  const between = drawn(flips, blocks / 2, random)
  for (const block of between) flip(data, block)
  const leaves = statSync(tree).size / blockBytes
  const rotten = drawn(Math.min(20, leaves - 1), leaves, random)
  for (const block of rotten) flip(tree, block)
  await mount()
  // Nothing was read since this start but what the scrub has reached, at the front.
  const under = drawn(flips, blocks / 2, random).map(block => block + blocks / 2)
  for (const block of under) flip(data, block)
  t.ok(await readsRight(), 'what rotted while it was not mounted, and under the mount, with a damaged tree')
  t.equal((await statusOf(where)).scrub.corruptBlocks, 2 * flips, 'each is counted')
  t.equal(await metric('kept_tree'), rotten.length, 'and each block of the tree, once')
  const differ = /differ from their checksums or their hash tree/
  t.same(
    await located(differ, 2 * flips),
    [...between, ...under].map(block => block * blockBytes),
    'and located',
  )

  await makeComplete(where, 'a.raw')
  const published = drawn(flips, blocks, random)
  for (const block of published) flip(data, block)
  const verified = await parentfs('verify', where.mountpoint, 'a.raw')
  t.match(verified, { code: 1, stdout: new RegExp(`\\b${flips} damaged blocks dropped`) }, 'after its first read')
  t.ok(await readsRight())
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })

  await liesAreFound(t, made, basename(data))
})

/** A mount with an empty cache, and a member whose answers are all wrong. @param id of the image */
async function liesAreFound(t: Test, { where, mount, readsRight, located, metric }: World, id: string): Promise<void> {
  const member = await MemberServer.open(t, [{ id, bytes }], blockBytes)
  const addon = loadAddon()
  const lied = new Set<number>()
  member.behaviour = answer => {
    const first = Number(/^bytes (\d+)/.exec(answer.headers['content-range']!)![1])
    const body = Buffer.from(answer.body)
    body[17]! ^= 4
    lied.add(first)
    const sums: number[] = []
    for (let at = 0; at < body.length; at += blockBytes) sums.push(addon.crc32c(body.subarray(at, at + blockBytes)))
    return { ...answer, body, headers: { ...answer.headers, [sumsHeader]: formatSums(sums) } }
  }
  // On a busy machine, too, the origin is not asked instead.
  const asked = 'patience: 5s, hedgeShare: 0, prefer: origin-relief'
  const fleet = `{ group: g, ${asked}, registry: { members: ["${member.url}"] } }`
  await mount({ fleet, cache: join(where.top, 'empty-cache') })
  t.ok(await readsRight())
  t.ok(lied.size > 0, 'it was asked')
  const wrong = await located(/differ from their hash tree; they are not served/, 1)
  t.ok(
    wrong.every(offset => lied.has(offset)),
    'located where it lied',
  )
  t.ok((await metric('data')) >= wrong.length)
  const { stdout } = await parentfs('fleet', where.mountpoint, '--json')
  const { members } = JSON.parse(stdout.toString()) as { members: { failures: number }[] }
  t.ok(members[0]!.failures > 0, 'and counted against it')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
}

t.test('a mirror with flips is quarantined, and the origin answers', { skip, timeout: 300_000 }, async t => {
  const random = seeded(seed + 1)
  const mirrorDirectory = t.testdir({})
  const blocks = image.sizeBytes / blockBytes
  writeSample(join(mirrorDirectory, 'a.raw'), image)
  // All but the front: it is measured there.
  const wrong = drawn(flips, blocks - 64, random).map(block => (block + 64) * blockBytes)
  for (const offset of wrong) flipBit(join(mirrorDirectory, 'a.raw'), offset + 5, 3)
  const mirror = await spawnHttpOrigin({ directory: mirrorDirectory })
  t.teardown(() => mirror.close())
  const { where, mount, view, readsRight, located, metric } = await world(t, { delayMs: 40 })
  await mount({ origin: `locations: ["${mirror.url}"],` })
  const locations = async () => {
    const { stdout } = await parentfs('locations', 'a.raw', '-m', where.mountpoint, '--json')
    return JSON.parse(stdout.toString()) as ImageLocation[]
  }
  await run('dd', `if=${view}`, 'of=/dev/null', `bs=${blockBytes}`, 'count=1', 'iflag=direct')
  await until(async () => (await locations())[1]?.isRead === true, patienceMs, 'the mirror is read')
  t.ok(await readsRight())
  const found = await located(/differ from their hash tree; they are not served/, 1)
  t.ok(
    found.every(offset => wrong.includes(offset)),
    'located',
  )
  t.ok((await metric('data')) >= found.length, 'counted')
  t.match(await locations(), [{ state: 'origin' }, { state: 'quarantined', reason: /do not fit the hash tree/ }])
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})

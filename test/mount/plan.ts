/** Plans of a real mount: the curve of what was really read is near the exact one, native hits included. */
import { closeSync, constants, openSync, readFileSync, readSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { PlanRow } from '../../src/cache/plan/plan.ts'
import type { PlanBasis } from '../../src/cache/plan/plan-basis.ts'
import { loadAddon } from '../../src/native/addon.ts'
import {
  cannotMount,
  capabilities,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { nextIteration } from '../fixtures/deferred.ts'
import { seed, seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const blockBytes = 4096
const objectBytes = 64 * blockBytes
/** More objects than a sample has. */
const objects = 60_000
const reads = 70_000
const differenceMax = 0.02

type Plan = Omit<PlanBasis, 'uses'> & { readonly capacities: readonly PlanRow[] }

t.test(`the curve of a mount is within ${differenceMax} of exact LRU (SEED=${seed})`, options, async t => {
  const where = place(t)
  const image = join(where.originDirectory, 'a.raw')
  writeFileSync(image, '')
  truncateSync(image, objects * objectBytes) // Zeros take no space, here or there.
  await mountDaemon(t, where, '--no-passthrough', '--block-size', '4KiB', '--capacity', '2GiB')
  const references = await read(where, 'a.raw')
  const capacities = ['24MiB', '64MiB', '128MiB', '192MiB']
  const svg = join(where.top, 'plan.svg')
  const asked = ['--capacity', capacities.join(','), '--json', '--plot', svg]
  const { code, stdout, stderr } = await parentfs('plan', where.mountpoint, ...asked)
  t.match({ code, stderr }, { code: 0, stderr: '' })
  const plan = JSON.parse(stdout.toString()) as Plan
  t.equal(plan.reads, reads, 'every read is known, whoever answered it')
  const status = await statusOf(where)
  if (capabilities.nativeHits) t.ok(status.reads.hits > reads / 20, `${status.reads.hits} of them were hits`)
  t.ok(plan.rate < 1, `${plan.rate}`)
  t.equal(plan.capacities.length, 5, 'the present one, too')
  for (const { capacityBytes, lru, policy } of plan.capacities) {
    const exact = exactMisses(references, capacityBytes * plan.highShare) / reads
    t.comment(`${capacityBytes}: exact ${exact}, sampled ${lru.missRatio}, ${plan.policy} ${policy.missRatio}`)
    t.ok(Math.abs(lru.missRatio - exact) <= differenceMax, `${capacityBytes}: ${lru.missRatio}, exact ${exact}`)
    t.ok(lru.originBytes > 0 && policy.originRequests > 0)
  }
  t.match(readFileSync(svg, 'utf8'), /^<svg /)
  const table = await parentfs('plan', where.mountpoint, '--capacity', '2x')
  t.match(table.stdout.toString(), /^2 GiB \(now\) .*\n4 GiB /m)
  t.match(await parentfs('plan', where.mountpoint, '--capacity', '2y'), { code: 2 })
})

/** Single blocks past the page cache, some objects more often than others. @returns the numbers of the blocks */
async function read(where: Place, name: string): Promise<number[]> {
  const addon = loadAddon()
  const memory = Buffer.alloc(2 * blockBytes)
  const buffer = memory.subarray(addon.bytesToPage(memory)).subarray(0, blockBytes)
  const fd = openSync(join(where.mountpoint, name), constants.O_RDONLY | constants.O_DIRECT)
  const random = seeded(seed)
  const references: number[] = []
  try {
    while (references.length < reads) {
      const object = Math.floor(objects * random() ** 1.5)
      const block = object * 64 + Math.floor(2 * random())
      if (readSync(fd, buffer, 0, blockBytes, block * blockBytes) !== blockBytes) throw new Error(`block ${block}`)
      references.push(block)
      if (references.length % 512 === 0) await nextIteration()
    }
    // Reads are reported after their answers, by open handles.
    const isCounted = async () => {
      const { hits, misses } = (await statusOf(where)).reads
      return hits + misses === reads
    }
    await until(isCounted, patienceMs, 'the counts')
  } finally {
    closeSync(fd)
  }
  return references
}

/** Objects in the order of their last reads, each with its blocks: the oldest go while their blocks are too many. */
function exactMisses(references: readonly number[], capacityBytes: number): number {
  const held = new Map<number, Set<number>>()
  let [bytes, misses] = [0, 0]
  for (const block of references) {
    const object = Math.floor(block / 64)
    const blocks = held.get(object) ?? new Set<number>()
    held.delete(object)
    held.set(object, blocks)
    if (blocks.has(block)) continue
    misses++
    blocks.add(block)
    bytes += blockBytes
    for (const [coldest, its] of held) {
      if (bytes <= capacityBytes) break
      held.delete(coldest)
      bytes -= its.size * blockBytes
    }
  }
  return misses
}

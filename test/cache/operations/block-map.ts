/** Block maps: every cell is what its blocks are, and their number has a bound. */
import t from 'tap'
import { blocksPerObject, identify, maskOf } from '../../../src/base/image.ts'
import { tickMs } from '../../../src/cache/evict/limits.ts'
import { type BlockMap, blockMapOf, cellFlags } from '../../../src/cache/operations/block-map.ts'
import { blockMapCellsMax, hotMsMax } from '../../../src/cache/operations/limits.ts'
import { imageBytesMax } from '../../../src/origin/wrappers/limits.ts'
import { BlockBitmap } from '../../../src/store/image/block-bitmap.ts'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import { ResidencyTable } from '../../../src/store/image/residency-table.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'

const blockBytes = 4096
const objectBytes = blockBytes * blocksPerObject
const tick = 1_000_000
const signal = new AbortController().signal
const all = { from: 0, to: Number.MAX_SAFE_INTEGER, signal }

function imageOf(sizeBytes: number) {
  return identify({ origin: 'o', key: 'k', sizeBytes, validator: 'v', modifiedMs: 0 })
}

/** The tables of a stored image. */
function tables(objects: number) {
  const [held, claims] = [new BlockBitmap(), new ClaimTable(new ArrayBuffer(16 * objects))]
  const residency = new ResidencyTable(new ArrayBuffer(16 * objects), claims)
  const stored = { held: (k: number) => held.get(k), heldObjects: () => held.objects(), residency, claims }
  return { held, claims, residency, stored: stored as unknown as StoredImage }
}

function cellsOf({ runs }: BlockMap): number[] {
  const cells: number[] = []
  for (let k = 0; k < runs.length; k += 2) cells.push(...Array<number>(runs[k + 1]!).fill(runs[k]!))
  return cells
}

t.test('a small image has a cell for each block', async t => {
  const { held, claims, residency, stored } = tables(2)
  held.add(0, maskOf({ first: 0, count: 3 }))
  held.add(1, maskOf({ first: 1, count: 1 }))
  residency.touch(0, tick)
  residency.touch(1, tick - hotMsMax / tickMs - 1)
  claims.claim(0, maskOf({ first: 3, count: 1 }))
  const sizeBytes = objectBytes + 2 * blockBytes - 5
  const map = await blockMapOf(imageOf(sizeBytes), stored, { blockBytes, tick }, all)
  t.match(map, { from: 0, to: sizeBytes, cellBytes: blockBytes, cells: 66, heldBytes: 4 * blockBytes })
  t.equal(map.fetchingBytes, blockBytes)
  const [hot, cold] = [8 | cellFlags.hot, 8]
  t.same(cellsOf(map), [hot, hot, hot, cellFlags.fetching, ...Array<number>(60).fill(0), 0, cold])
  t.same(map.ages, [3 * blockBytes, blockBytes, 0, 0, 0])
})

t.test('a block that is published is not on its way any more, though its claim has not ended', async t => {
  const { held, claims, residency, stored } = tables(1)
  held.add(0, 1n)
  claims.claim(0, 3n)
  residency.publish(0, 1n)
  const map = await blockMapOf(imageOf(objectBytes), stored, { blockBytes, tick }, all)
  t.equal(map.fetchingBytes, blockBytes)
})

t.test('larger images have larger cells, parts are never all or nothing, and ranges bring blocks back', async t => {
  const objects = 1024
  const { held, stored } = tables(objects)
  held.add(0, 1n)
  held.add(1, ~(1n << 63n) & 0xffff_ffff_ffff_ffffn)
  held.add(2, 0xffff_ffff_ffff_ffffn)
  const map = await blockMapOf(imageOf(objects * objectBytes), stored, { blockBytes, tick }, all)
  t.equal(map.cells, blockMapCellsMax)
  t.equal(map.cellBytes, 16 * blockBytes)
  t.same(cellsOf(map).slice(0, 12), [1, 0, 0, 0, 8, 8, 8, 7, 8, 8, 8, 8])
  const range = { from: objectBytes + 1, to: 2 * objectBytes, signal }
  const part = await blockMapOf(imageOf(objects * objectBytes), stored, { blockBytes, tick }, range)
  t.match(part, { from: objectBytes, to: 2 * objectBytes, cells: 64, cellBytes: blockBytes })
  t.same(part.runs, [8, 63, 0, 1])
})

t.test('a long range has what is held in it alone', async t => {
  const objects = 3 * blockMapCellsMax
  const { held, stored } = tables(objects)
  for (const object of [0, blockMapCellsMax, objects - 2, objects - 1]) held.add(object, 3n)
  const range = { from: blockMapCellsMax * objectBytes, to: (objects - 1) * objectBytes, signal }
  const map = await blockMapOf(imageOf(objects * objectBytes), stored, { blockBytes, tick }, range)
  t.equal(map.heldBytes, 4 * blockBytes)
})

t.test('the largest image there may be has no more cells than any, and past its end there is its end', async t => {
  const image = imageOf(imageBytesMax)
  const map = await blockMapOf(image, null, { blockBytes: 65_536, tick }, all)
  t.ok(map.cells <= blockMapCellsMax, `${map.cells} cells`)
  t.same(map.runs, [0, map.cells])
  const past = await blockMapOf(image, null, { blockBytes: 65_536, tick }, { from: 2 * imageBytesMax, to: 0, signal })
  t.equal(past.to, imageBytesMax)
  const empty = await blockMapOf(imageOf(0), null, { blockBytes, tick }, all)
  t.match(empty, { cells: 0, runs: [], heldBytes: 0 })
})

t.test('a walk that is not wanted any more ends', async t => {
  const { held, stored } = tables(4096)
  for (let object = 0; object < 4096; object++) held.add(object, 1n)
  const stop = new AbortController()
  stop.abort()
  // It looks when its time slice is over.
  const slow = { ...stored, heldObjects: () => held.objects(), held: burn } as unknown as StoredImage
  const walk = blockMapOf(imageOf(4096 * objectBytes), slow, { blockBytes, tick }, { ...all, signal: stop.signal })
  await t.rejects(walk, { code: 'aborted' })
})

function burn(): bigint {
  const endMs = performance.now() + 0.05
  while (performance.now() < endMs);
  return 1n
}

/** The residency table: its layout, what is published and revoked, and what native readers can tell from it. */
import t from 'tap'
import { allBlocks, Geometry } from '../../../src/base/image.ts'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import { ResidencyTable } from '../../../src/store/image/residency-table.ts'

const objectTableBytes = 16

function tableOf(objects: number) {
  const memory = new ArrayBuffer(objects * objectTableBytes)
  const claims = new ClaimTable(new ArrayBuffer(memory.byteLength))
  return { memory, view: new DataView(memory), claims, table: new ResidencyTable(memory, claims) }
}

t.test('an object takes 16 bytes, as native readers expect them: blocks, generation, last use', async t => {
  const { view, table } = tableOf(3)
  table.publish(1, 0x8000_0000_0000_0005n)
  table.revoke(1, 0b100n)
  table.touch(1, 77)
  t.equal(view.getBigUint64(16, true), 0x8000_0000_0000_0001n)
  t.equal(view.getUint32(24, true), 1)
  t.equal(view.getUint32(28, true), 77)
  const others = [...new Uint8Array(view.buffer, 0, 16), ...new Uint8Array(view.buffer, 32, 16)]
  t.ok(others.every(byte => byte === 0))
})

t.test('blocks that are revoked go, the others stay, and readers of the object are told', async t => {
  const { table } = tableOf(1)
  table.publish(0, 0b0110n)
  table.publish(0, 0b1010n)
  t.equal(table.resident(0), 0b1110n)
  t.equal(table.generation(0), 0, 'a reader of other blocks need not look again')
  table.revoke(0, 0b0011n)
  t.equal(table.resident(0), 0b1100n)
  t.equal(table.generation(0), 1)
  table.revoke(0, 0b0011n)
  t.equal(table.generation(0), 2, 'nothing was published, and bytes may go all the same')
  table.revoke(0, allBlocks)
  t.equal(table.resident(0), 0n)
})

t.test('a frozen table publishes nothing, and still revokes', async t => {
  const { table } = tableOf(1)
  table.publish(0, 0b0011n)
  table.freeze(true)
  table.publish(0, 0b1100n)
  table.revoke(0, 0b0001n)
  t.equal(table.resident(0), 0b0010n)
  table.freeze(false)
  table.publish(0, 0b1100n)
  t.equal(table.resident(0), 0b1110n)
})

t.test('generation and last use are unsigned, and the generation wraps around', async t => {
  const { view, table } = tableOf(1)
  view.setUint32(8, 0xffff_ffff, true)
  t.equal(table.generation(0), 0xffff_ffff)
  table.revoke(0, 1n)
  t.equal(table.generation(0), 0)
  table.touch(0, 0xffff_fffe)
  t.equal(table.lastUse(0), 0xffff_fffe)
})

t.test('an image is whole when each of its blocks is published, until one is revoked', async t => {
  const blockBytes = 4096
  const geometry = new Geometry(2 * 64 * blockBytes + 2 * blockBytes + 1, blockBytes)
  const { table } = tableOf(3)
  table.publish(0, allBlocks)
  table.publish(2, 0b111n)
  t.notOk(table.isWhole(geometry), 'the second object lacks')
  table.publish(1, allBlocks)
  t.ok(table.isWhole(geometry))
  table.revoke(0, 1n)
  t.notOk(table.isWhole(geometry), 'although it was seen whole')
  table.publish(0, 1n)
  t.ok(table.isWhole(geometry))
  table.revoke(2, 0b100n)
  t.notOk(table.isWhole(geometry))
})

t.test('last uses are taken over at boot, but for objects that the image does not have', async t => {
  const { table } = tableOf(3)
  t.equal(table.touchAll(Uint32Array.of(0, 9, 2, 5, 3, 100)), 9)
  t.same(
    [0, 1, 2].map(object => table.lastUse(object)),
    [9, 0, 5],
  )
  t.equal(table.touchAll(new Uint32Array()), 0)
})

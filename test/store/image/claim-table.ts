/** The claim table: its layout, the owner of a claim, and the time for which blocks count as unverified. */
import t from 'tap'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import { ResidencyTable } from '../../../src/store/image/residency-table.ts'

function tables() {
  const memory = new ArrayBuffer(32)
  const claims = new ClaimTable(memory)
  return { view: new DataView(memory), claims, residency: new ResidencyTable(new ArrayBuffer(32), claims) }
}

t.test('an object takes 16 bytes, as session threads expect them: claimed blocks, unverified blocks', async t => {
  const { view, claims } = tables()
  claims.claim(1, 0x8000_0000_0000_0001n)
  claims.addUnverified(1, 0b110n)
  t.same(
    [0, 8, 16, 24].map(at => view.getBigUint64(at, true)),
    [0n, 0n, 0x8000_0000_0000_0001n, 0b110n],
  )
})

t.test('a claim is that of its first caller until it is released', async t => {
  const { claims } = tables()
  t.equal(claims.claim(0, 0b0110n), 0b0110n)
  t.equal(claims.claim(0, 0b0011n), 0b0001n)
  t.equal(claims.claimed(0), 0b0111n)
  claims.release(0, 0b0010n)
  t.equal(claims.claimed(0), 0b0101n)
  t.equal(claims.claim(0, 0b0010n), 0b0010n)
})

t.test('blocks are unverified until they are published or revoked', async t => {
  const { view, claims, residency } = tables()
  claims.addUnverified(0, 0b1111n)
  residency.publish(0, 0b0011n)
  t.equal(view.getBigUint64(8, true), 0b1100n)
  residency.revoke(0, 0b0100n)
  t.equal(view.getBigUint64(8, true), 0b1000n)
})

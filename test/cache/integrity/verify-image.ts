/** Verification on demand: every block against its checksum, and a complete image against its digest. */

import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import type { DigestState, DigestVerifier } from '../../../src/cache/integrity/digest-verifier.ts'
import { type VerificationProgress, verifyImage } from '../../../src/cache/integrity/verify-image.ts'
import { damage } from '../../fixtures/damage.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes
const sizeBytes = objectBytes + 3 * blockBytes + 7

/** An image of which so many bytes are held, and a digest of which `compare` says what it is. */
async function world(
  t: Test,
  heldBytes: number,
  compare: () => Promise<DigestState>,
  state: DigestState = 'unverified',
) {
  const directory = t.testdir()
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes)
  const rooms = await openRooms({ directory, origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  for (let object = 0; object * objectBytes < heldBytes; object++) {
    const offset = object * objectBytes
    await stored.writeBlocks(object, 0, origin.bytes('a', offset, Math.min(objectBytes, heldBytes - offset)))
  }
  await rooms.store.flush()
  const compared = async (_stored: unknown, { spend }: { spend: (bytes: number) => Promise<void> }) => {
    for (let left = sizeBytes; left > 0; left -= objectBytes) await spend(Math.min(left, objectBytes))
    return compare()
  }
  const digester = { state: () => state, compare: compared } as unknown as DigestVerifier
  const progress: VerificationProgress[] = []
  const verify = (own: CancelSignal = signal) =>
    verifyImage('a', stored, digester, { signal: own, onProgress: step => void progress.push(step) })
  return { rooms, stored, progress, verify, path: join(directory, 'images', image.id) }
}

const verified = async () => 'verified' as const

t.test('a complete image is compared block by block, then whole, and says how far it is', async t => {
  const { rooms, progress, verify } = await world(t, sizeBytes, verified)
  const found = await verify()
  const expected = { name: 'a', verifiedBytes: sizeBytes, corruptBlocks: 0, complete: true }
  t.same(found, { ...expected, digest: 'verified', problem: null })
  for (const phase of ['blocks', 'digest']) {
    const steps = progress.filter(step => step.phase === phase)
    t.ok(steps.length > 1)
    t.ok(
      steps.every(
        ({ doneBytes, totalBytes }, k) => doneBytes > (steps[k - 1]?.doneBytes ?? 0) && totalBytes === sizeBytes,
      ),
    )
    t.equal(steps.at(-1)?.doneBytes, sizeBytes)
  }
  await rooms.close()
})

t.test('damaged blocks are counted and dropped; an image that lacks some is not compared as a whole', async t => {
  const { rooms, stored, verify, path } = await world(t, sizeBytes, () => Promise.reject(new Error('not asked')))
  damage(path, 10 * blockBytes)
  damage(path, 65 * blockBytes)
  t.same(await verify(), {
    ...{ name: 'a', verifiedBytes: sizeBytes, corruptBlocks: 2, complete: false },
    ...{ digest: 'unverified', problem: null },
  })
  t.equal(stored.held(0) & (1n << 10n), 0n)
  t.match(await verify(), { corruptBlocks: 0, verifiedBytes: stored.heldBytes }, 'those of this time alone')
  await rooms.close()
})

t.test('one that did not match its digest is compared again, although it is not complete', async t => {
  const { rooms, verify } = await world(t, objectBytes, verified, 'mismatch')
  t.match(await verify(), { complete: false, digest: 'verified' })
  await rooms.close()
})

t.test('a digest that cannot be had is a problem of the digest alone', async t => {
  const { rooms, verify } = await world(t, sizeBytes, () => Promise.reject(new CacheError('origin-away', 'gone')))
  t.match(await verify(), { verifiedBytes: sizeBytes, digest: 'unverified', problem: /gone/ })
  await rooms.close()
})

t.test('a caller that leaves ends it between two steps, of blocks and of the digest', async t => {
  const leaving = new AbortController()
  const { rooms, progress, verify } = await world(t, sizeBytes, async () => {
    leaving.abort()
    throw new CacheError('aborted', 'left')
  })
  await t.rejects(verify(leaving.signal), { code: 'aborted' })
  const { length } = progress
  await t.rejects(verify(leaving.signal), { code: 'aborted' })
  t.equal(progress.length, length, 'nothing is compared without a caller')
  await rooms.close()
})

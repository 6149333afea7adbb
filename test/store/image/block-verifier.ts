import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { BlockVerifier, type VerifierContext, type VerifierTarget } from '../../../src/store/image/block-verifier.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes

/** A store on a disk that does what `say` was told: see native-bindings/disk/fault-injection.h. */
async function sickStore(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-sick-')) // Not testdir(): it goes before the teardown below.
  const rulesPath = join(directory, 'faults')
  process.env.PARENTFS_FAULTS = rulesPath
  const say = (rules: string) => {
    writeFileSync(`${rulesPath}.new`, `${rules}\n`)
    renameSync(`${rulesPath}.new`, rulesPath)
  }
  const origin = new MemoryOrigin()
  origin.put('a', 4 * objectBytes, 7, [])
  const rooms = await openRooms({ directory: join(directory, 'cache'), origin })
  t.teardown(async () => {
    say('')
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  const land = (object: number, count: number) =>
    stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, count * blockBytes))
  return { origin, rooms, image, stored, say, land }
}

t.test('a block that cannot be read is dropped, its neighbours stay, and the reader gets right bytes', async t => {
  const { origin, rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 4)
  await rooms.store.flush()
  say(`read EIO ${blockBytes} 1`)
  const bytes = await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.ok(origin.bytes('a', 0, 4 * blockBytes).equals(bytes))
  await until(() => stored.residency.resident(0) === 0b1111n, patienceMs, 'the block is promoted again')
  t.equal(stored.corruptBlocks, 0, 'unread is not damaged')
  t.equal(rooms.store.health.state, 'healthy')
})

t.test('on a disk that reads nothing blocks are kept, and published when it is back', async t => {
  const { origin, rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 4)
  await rooms.store.flush()
  say('read EIO')
  rooms.store.health.stalled('read', 1)
  const bytes = await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.ok(origin.bytes('a', 0, 4 * blockBytes).equals(bytes))
  t.equal(stored.held(0), 0b1111n)
  say('')
  await until(() => rooms.store.health.state === 'healthy', patienceMs, 'recovery')
  const requests = origin.requests.length
  await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.equal(origin.requests.length, requests, 'nothing is fetched again')
})

t.test('a sync that fails costs what was written before it ended, its own batch or not', async t => {
  const { rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 2)
  say('sync stall 3600000')
  const flushed = rooms.store.flush()
  await land(1, 2)
  say('sync EIO once')
  await flushed
  await rooms.store.flush()
  t.equal(rooms.store.health.state, 'degraded')
  for (const object of [0, 1]) {
    t.equal(stored.residency.resident(object), 0n)
    t.equal(rooms.index.sums(image.id, object), null)
  }
})

/** A verifier over memory: what is good and what cannot be read is said by the test. */
function verifying({ held = 0b1111n, resident = 0n, summed = 0b1111n, good = 0n, unread = 0n, mayRead = true } = {}) {
  const state = { held, resident, dropped: 0n, unreadable: 0, compared: [] as unknown[] }
  const geometry = { objectBytes, sizeBytes: objectBytes + 6000, blockBytes, bytesOf: () => ({ offset: 0, length: 1 }) }
  const target = {
    ...{ image: { id: 'a', key: 'a' }, geometry, held: () => state.held },
    file: {
      verify: async (_object: number, blocks: bigint, _sums: unknown, fromDisk: boolean, proof: unknown) => {
        state.compared.push([blocks, fromDisk, proof])
        return { good: good & blocks, unread: unread & blocks }
      },
    },
    residency: {
      resident: () => state.resident,
      publish: (_object: number, blocks: bigint) => void (state.resident |= blocks),
      revoke: (_object: number, blocks: bigint) => void (state.resident &= ~blocks),
    },
    drop: async (_object: number, blocks: bigint) => void (state.dropped |= blocks),
  }
  const health = {
    mayRead,
    mayWrite: true,
    readFailed: () => void state.unreadable++,
    watchRead: (work: unknown) => work,
  }
  const index = { sums: () => ({ blocks: summed, sums: new Uint32Array(64) }) }
  const proofOf = async (...range: unknown[]) => range.slice(1)
  const parts = { index, health, logger: silentLogger, proofOf } as unknown as VerifierContext
  return { state, verifier: new BlockVerifier(target as unknown as VerifierTarget, parts) }
}

t.test(
  'blocks that are held and not published are verified: good ones are published, others dropped and counted',
  async t => {
    const { state, verifier } = verifying({ resident: 1n, summed: 0b0111n, good: 0b0010n })
    await verifier.verify(1, 0b1111n)
    t.same(
      state.compared,
      [[0b0110n, false, [objectBytes, 6000]]],
      'with the proof of what the image has of the object',
    )
    t.same([state.resident, state.dropped, verifier.corruptBlocks], [0b0011n, 0b1100n, 2])
  },
)

t.test('a block that cannot be read is no damage, and is dropped only where the disk reads others', async t => {
  for (const mayRead of [true, false]) {
    const { state, verifier } = verifying({ good: 0b0111n, unread: 0b1000n, mayRead })
    await verifier.verify(0, 0b1111n)
    t.same([state.resident, state.unreadable, verifier.corruptBlocks], [0b0111n, 1, 0])
    t.equal(state.dropped, mayRead ? 0b1000n : 0n)
  }
})

t.test('a scrub reads from the disk, publishes what was not, and takes back what is damaged', async t => {
  const { state, verifier } = verifying({ resident: 0b0011n, summed: 0b0111n, good: 0b0101n })
  t.equal(await verifier.scrub(0, 0b1111n, true), 0b1111n)
  t.same(state.compared, [[0b0111n, true, [0, objectBytes]]])
  t.same([state.resident, state.dropped, verifier.corruptBlocks], [0b0101n, 0b1010n, 2])
})

t.test('readers miss published blocks while they are verified again', async t => {
  const { state, verifier } = verifying({ resident: 0b1111n, good: 0b0001n })
  await verifier.verifyAgain(0, 0b0011n)
  t.same([state.resident, state.dropped], [0b1101n, 0b0010n])
})

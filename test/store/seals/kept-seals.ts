/** Kept seals: what lies on the disk is taken over, reads and writes of trees, their room, and what ends them. */
import t from 'tap'
import { allBlocks } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { IndexDatabase } from '../../../src/index/index-database.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import type { SealRecord } from '../../../src/origin/sealed/seal.ts'
import { KeptSeals, type SealStore } from '../../../src/store/seals/kept-seals.ts'
import { openTreesMax, treePageBytes, treesShareMax } from '../../../src/store/seals/limits.ts'

const treeBytes = 4 * treePageBytes
const known = 'a'.repeat(16)

/** A directory of files in memory. */
function memoryDirectory(lying: readonly string[]) {
  const files = new Map(lying.map(name => [name, Buffer.alloc(treeBytes)]))
  const state = { opened: 0, closed: 0, fails: null as Error | null, writeFails: null as Error | null }
  const tables: ArrayBuffer[] = []
  const directory = {
    names: async () => [...files.keys()],
    allocatedBytes: (name: string) => files.get(name)?.length ?? 0,
    open: async (name: string, sizeBytes: number) => {
      if (state.fails) throw state.fails
      const bytes = files.get(name) ?? Buffer.alloc(sizeBytes)
      files.set(name, bytes)
      state.opened++
      const table = new ArrayBuffer(64)
      tables.push(table)
      const file: Partial<StoreFile> = {
        table,
        read: async (offset, target) => {
          target.set(bytes.subarray(offset, offset + target.length))
          return true
        },
        writeBlocks: async (offsets, parts) => {
          if (parts.some(({ length }) => length > 64 * treePageBytes)) throw new Error('more than an object')
          for (const [k, part] of parts.entries()) if (!state.writeFails) bytes.set(part, offsets[k])
          return { error: state.writeFails } as never
        },
        usage: () => ({ allocatedBytes: bytes.length }) as never,
        close: () => {
          state.closed++
        },
      }
      return file as StoreFile
    },
    remove: async (name: string) => void files.delete(name),
  }
  return { directory, files, state, tables }
}

/** A store, with room as long as it is said to have some. */
function fakeStore(capacityBytes: number) {
  const health = { mayWait: true, mayWrite: true, failures: [] as unknown[], reads: 0 }
  const room = { exists: true, reservedBytes: 0 }
  const store: SealStore = {
    capacity: {
      capacityBytes,
      reserve: bytes => {
        if (room.exists) room.reservedBytes += bytes
        return room.exists
      },
      settle: bytes => {
        room.reservedBytes -= bytes
      },
      settleWhenMeasured: bytes => {
        room.reservedBytes -= bytes
      },
    },
    health: {
      get mayWait() {
        return health.mayWait
      },
      get mayWrite() {
        return health.mayWrite
      },
      watchRead: async work => {
        health.reads++
        return await work
      },
      watchWrite: async work => await work,
      writeFailed: error => void health.failures.push(error),
    },
    recordWithin: async (_bytes, _isNeeded, write) => {
      await write()
      return true
    },
  }
  return { store, health, room }
}

async function setUp({ lying = [] as string[], capacityBytes = 64 * treeBytes } = {}) {
  const { directory, ...disk } = memoryDirectory(lying)
  const made = fakeStore(capacityBytes)
  const records = new Map<string, unknown>()
  const index = {
    images: () => [{ image: { id: known } }],
    seal: (id: string) => records.get(id) ?? null,
    putSeal: async (id: string, record: unknown) => void records.set(id, record),
  } as unknown as IndexDatabase
  const seals = await KeptSeals.load({ index, directory, logger: silentLogger })
  seals.use(made.store)
  return { seals, records, ...disk, ...made }
}

const page = (fill: number) => Buffer.alloc(treePageBytes, fill)

t.test('trees of known images are taken over with their bytes, and those of others removed', async t => {
  const { seals, files } = await setUp({ lying: [known, 'b'.repeat(16)] })
  t.same([...files.keys()], [known])
  t.equal(seals.allocatedBytes, treeBytes)
  const read = page(0)
  t.ok(await seals.tree(known, treeBytes).read(0, read))
  await seals.close()
})

t.test('what was written is read, by one open file whose blocks may all be read', async t => {
  const { seals, state, room, tables } = await setUp({ capacityBytes: 64 * 32 * treeBytes })
  const tree = seals.tree('c', treeBytes)
  t.notOk(await tree.read(0, page(0)), 'no file is made for a read')
  t.equal(state.opened, 0)
  await tree.write(treePageBytes, page(7))
  const read = page(0)
  t.ok(await tree.read(treePageBytes, read))
  t.same(read, page(7))
  t.equal(state.opened, 1)
  t.equal(new BigUint64Array(tables[0]!)[0], allBlocks)
  t.same(seals.counters, { treeBytes, refused: 0 })
  t.equal(room.reservedBytes, 0, 'nothing stays reserved')
  t.notOk(await tree.read(0, Buffer.alloc(0)), 'nothing to read')
  await seals.remove('c')
  t.equal(state.closed, 1)
  t.equal(seals.allocatedBytes, 0)
  t.notOk(await tree.read(treePageBytes, read))
  await seals.close()
})

t.test('more pages than an object has blocks are written by several objects', async t => {
  const { seals, health } = await setUp({ capacityBytes: 64 * 32 * treeBytes })
  const bytes = Buffer.concat(Array.from({ length: 65 }, (_, k) => page(k)))
  const tree = seals.tree('c', bytes.length)
  await tree.write(0, bytes)
  t.same(health.failures, [])
  const read = Buffer.alloc(bytes.length)
  t.ok(await tree.read(0, read))
  t.ok(read.equals(bytes))
  await seals.close()
})

t.test('a tree of no bytes has nothing', async t => {
  const { seals, state } = await setUp()
  const tree = seals.tree('c', 0)
  await tree.write(0, page(1))
  t.notOk(await tree.read(0, page(0)))
  t.equal(state.opened, 0)
})

t.test('trees have a share of the capacity: a write past it is refused, and counted', async t => {
  const { seals, state } = await setUp({ capacityBytes: treePageBytes / treesShareMax })
  const tree = seals.tree('c', treeBytes)
  await tree.write(0, page(1))
  t.same(seals.counters, { treeBytes, refused: 0 }, 'up to the share')
  await tree.write(treePageBytes, page(2))
  t.same(seals.counters, { treeBytes, refused: 1 })
  const other = await setUp()
  other.room.exists = false
  await other.seals.tree('c', treeBytes).write(0, page(1))
  t.same(other.seals.counters, { treeBytes: 0, refused: 1 }, 'a cache that is full')
  t.equal(state.opened + other.state.opened, 1)
})

t.test('a disk that may not be written, or asked, is left alone; one that fails is told so', async t => {
  const { seals, state, health, room } = await setUp({ lying: [known] })
  const tree = seals.tree(known, treeBytes)
  health.mayWrite = false
  await tree.write(0, page(1))
  health.mayWait = false
  t.notOk(await tree.read(0, page(0)))
  t.equal(health.reads, 0)
  t.equal(state.opened, 0)
  Object.assign(health, { mayWait: true, mayWrite: true })
  state.writeFails = new Error('EIO')
  await tree.write(0, page(1))
  t.same(health.failures, [state.writeFails])
  t.equal(room.reservedBytes, 0)
  await seals.remove(known)
  state.fails = new Error('ENOSPC')
  await tree.write(0, page(1))
  t.same(health.failures, [state.writeFails, state.fails])
  state.fails = null
  state.writeFails = null
  await tree.write(0, page(1))
  t.ok(await tree.read(0, page(0)), 'an open that failed is tried again')
  await seals.close()
})

t.test('one file more than may be open closes the one that was used longest ago; close ends them all', async t => {
  const { seals, state } = await setUp({ capacityBytes: 10_000 * 32 * treeBytes })
  for (let k = 0; k <= openTreesMax; k++) await seals.tree(`${k}`, treeBytes).write(0, page(1))
  t.same(state, { ...state, opened: openTreesMax + 1, closed: 1 })
  t.ok(await seals.tree('0', treeBytes).read(0, page(0)), 'it is opened again')
  t.same(state, { ...state, opened: openTreesMax + 2, closed: 2 })
  await seals.close()
  await seals.close()
  t.equal(state.closed, openTreesMax + 2)
  t.notOk(await seals.tree('0', treeBytes).read(0, page(0)), 'and nothing is read any more')
})

t.test('records go into the index; one that cannot be recorded is no error', async t => {
  const { seals, store, records } = await setUp()
  const record = { rootHash: 'x' } as unknown as SealRecord
  const image = { id: 'c', key: 'c.raw' } as never
  await seals.putRecord(image, record)
  t.equal(seals.record('c'), record)
  t.equal(seals.record('d'), null)
  seals.use({ ...store, recordWithin: () => Promise.reject(new Error('full')) })
  records.clear()
  await seals.putRecord(image, record)
  t.equal(seals.record('c'), null)
})

/** Records of an origin: all of them go, those of other origins stay, and no transaction takes too many. */
import t, { type Test } from 'tap'
import { originKey } from '../../src/index/format/encoding.ts'
import type { BinaryDatabase } from '../../src/index/lmdb-environment.ts'
import { keysOfOrigin, removeOriginRecords } from '../../src/index/origin-records.ts'
import { MemoryEnvironment } from '../fixtures/memory-environment.ts'
import { seeded } from '../fixtures/seeded.ts'

const [here, there] = ['file:///here', 'file:///there']
const ofOrigins = ['names', 'listings', 'pins', 'modes', 'profiles', 'hitsets'] as const
const atOnceMax = 4096

function setUp(t: Test) {
  const environment = new MemoryEnvironment(seeded(1))
  t.teardown(() => environment.close())
  const write = (action: () => void) => environment.transaction(action)
  const put = (database: BinaryDatabase, origin: string, ...names: readonly string[]) =>
    write(() => {
      for (const name of names) void database.put(Buffer.concat([originKey(origin), Buffer.from(name)]), Buffer.of(1))
    })
  return { ...environment, databases: environment.databases, write, put }
}

t.test('every record of the origin goes, whatever its name, and none of another origin', async t => {
  const { databases, write, put } = setUp(t)
  const names = ['', 'a', '\u0000', '\u{10ffff}', 'z'.repeat(255)]
  for (const name of ofOrigins) for (const origin of [here, there]) await put(databases[name], origin, ...names)
  await write(() => void databases.counters.put(originKey(here), Buffer.of(1)))
  await removeOriginRecords(databases, here, write)
  for (const name of ofOrigins) {
    const left = [here, there].map(origin => keysOfOrigin(databases[name], origin).length)
    t.same(left, [0, names.length], name)
  }
  t.ok(databases.counters.get(originKey(here)), 'other databases are no business of it')
})

t.test('a transaction takes so many keys; one more makes a second', async t => {
  for (const [count, expected] of [
    [atOnceMax, 1],
    [atOnceMax + 1, 2],
  ] as const) {
    const { databases, write, put } = setUp(t)
    await put(databases.names, here, ...Array.from({ length: count }, (_, k) => `name ${k}`))
    t.equal(keysOfOrigin(databases.names, here).length, atOnceMax)
    t.equal(keysOfOrigin(databases.names, here, count).length, count)
    let writes = 0
    await removeOriginRecords(databases, here, action => {
      writes++
      return write(action)
    })
    t.same([writes, keysOfOrigin(databases.names, here)], [expected, []])
  }
})

t.test('a write that fails is said, and the next try goes on', async t => {
  const { databases, write, put } = setUp(t)
  await put(databases.pins, here, 'a')
  await t.rejects(
    removeOriginRecords(databases, here, () => Promise.reject(new Error('full'))),
    { message: 'full' },
  )
  t.equal(keysOfOrigin(databases.pins, here).length, 1)
  await removeOriginRecords(databases, here, write)
  t.equal(keysOfOrigin(databases.pins, here).length, 0)
})

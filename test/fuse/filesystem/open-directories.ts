/** Listings of open directories. */
import t from 'tap'
import { type DirectoryEntry, OpenDirectories } from '../../../src/fuse/filesystem/open-directories.ts'

function listing(...names: string[]): DirectoryEntry[] {
  return names.map(name => ({ name, kind: 'file', nodeId: null, known: null }))
}

const at = (index: number) => ({ index, follows: () => true })

t.test('a listing stays the same until it is read from the start', async t => {
  const directories = new OpenDirectories({ firstHandle: 5n })
  const handle = directories.open()
  t.equal(handle, 5n)
  const before = listing('a', 'b')
  const after = listing('c')
  t.equal(await directories.read(handle, at(0), async () => before), before)
  t.equal(await directories.read(handle, at(1), async () => after), before)
  t.equal(await directories.read(handle, at(2), async () => after), before)
  t.equal(await directories.read(handle, at(0), async () => after), after)
})

t.test('a handle from a predecessor is read anew', async t => {
  const directories = new OpenDirectories({ firstHandle: 5n })
  t.equal((await directories.read(77n, at(2), async () => listing('a', 'b', 'c'))).length, 3)
  t.equal(directories.count, 1)
  const changed = { index: 2, follows: () => false }
  await t.rejects(
    directories.read(78n, changed, async () => listing('b')),
    { code: 'listing-changed' },
  )
  t.equal((await directories.read(77n, changed, async () => listing('b'))).length, 3, 'it has the listing of before')
  directories.release(78n)
  directories.release(77n)
  t.equal(directories.count, 0)
})

t.test('handles go round the end of 64 bits', async t => {
  const directories = new OpenDirectories({ firstHandle: 2n ** 64n - 1n })
  t.equal(directories.open(), 2n ** 64n - 1n)
  t.equal(directories.open(), 0n)
})

t.test('one directory more than the limit is refused', async t => {
  const directories = new OpenDirectories({ firstHandle: 1n, directoriesMax: 2 })
  const first = directories.open()
  directories.open()
  t.throws(() => directories.open(), { code: 'too-many-open' })
  t.equal(directories.refused, 1)
  directories.release(first)
  t.ok(directories.open())
})

t.test('one name more than the limit is refused, and a release makes room', async t => {
  const directories = new OpenDirectories({ firstHandle: 1n, namesMax: 3 })
  const first = directories.open()
  const second = directories.open()
  await directories.read(first, at(0), async () => listing('a', 'b'))
  await t.rejects(
    directories.read(second, at(0), async () => listing('c', 'd')),
    { code: 'too-many-open' },
  )
  t.equal(directories.refused, 1)
  await directories.read(first, at(0), async () => listing('a', 'b', 'c'))
  directories.release(first)
  await directories.read(second, at(0), async () => listing('c', 'd', 'e'))
})

t.test('a listing that several directories have open counts once, until the last of them is closed', async t => {
  const directories = new OpenDirectories({ firstHandle: 1n, namesMax: 3 })
  const names = {}
  const shared = async () => ({ length: 2, names, at: listing('a', 'b').at.bind(listing('a', 'b')) })
  const handles = Array.from({ length: 5 }, () => directories.open())
  for (const handle of handles) await directories.read(handle, at(0), shared)
  for (const handle of handles) await directories.read(handle, at(0), shared)
  const other = directories.open()
  const read = (count: number) => directories.read(other, at(0), async () => listing('c', 'd', 'e').slice(0, count))
  await t.rejects(read(2), { code: 'too-many-open' })
  for (const handle of handles.slice(1)) directories.release(handle)
  await t.rejects(read(2), { code: 'too-many-open' })
  await read(1)
  directories.release(handles[0]!)
  await read(3)
  t.equal(directories.refused, 2)
})

t.test('names that arrive after the close are not counted', async t => {
  const directories = new OpenDirectories({ firstHandle: 1n, namesMax: 2 })
  const first = directories.open()
  await directories.read(first, at(0), async () => {
    directories.release(first)
    return listing('a', 'b')
  })
  const second = directories.open()
  t.equal((await directories.read(second, at(0), async () => listing('a', 'b'))).length, 2)
})

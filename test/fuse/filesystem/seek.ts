/** Data and holes. */
import t from 'tap'
import { seek } from '../../../src/fuse/filesystem/seek.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const { signal } = new AbortController()

t.test('data and holes are found as lseek says', async t => {
  const backend = new FakeBackend()
  const { image } = backend.add({
    name: 'a',
    sizeBytes: 100,
    holes: [
      [10, 20],
      [20, 30],
      [90, 100],
    ],
  })
  const cases: [number, 'data' | 'hole', number][] = [
    [0, 'data', 0],
    [0, 'hole', 10],
    [10, 'hole', 10],
    [10, 'data', 30],
    [29, 'data', 30],
    [30, 'hole', 90],
    [89, 'data', 89],
    [99, 'hole', 99],
  ]
  for (const [offset, target, expected] of cases) {
    t.equal(await seek(backend, image, offset, target, { signal }), expected, `${target} from ${offset}`)
  }
  await t.rejects(seek(backend, image, 90, 'data', { signal }), { code: 'past-the-end' }, 'only a hole follows')
})

t.test('the end of the file is a hole', async t => {
  const backend = new FakeBackend()
  const { image } = backend.add({ name: 'a', sizeBytes: 100 })
  t.equal(await seek(backend, image, 50, 'hole', { signal }), 100)
})

t.test('nothing is found at or past the end', async t => {
  const backend = new FakeBackend()
  const { image } = backend.add({ name: 'a', sizeBytes: 100 })
  const empty = backend.add({ name: 'b', sizeBytes: 0 }).image
  for (const target of ['data', 'hole'] as const) {
    for (const offset of [100, 101, 2 ** 63, Number.NaN]) {
      await t.rejects(seek(backend, image, offset, target, { signal }), { code: 'past-the-end' })
    }
    await t.rejects(seek(backend, empty, 0, target, { signal }), { code: 'past-the-end' })
  }
  t.equal(backend.counts.extents, 0)
})

t.test('an extent that leads nowhere is a bug that shows, not a loop', async t => {
  const { image } = new FakeBackend().add({ name: 'a', sizeBytes: 100 })
  const backend = { extentAt: async () => ({ hole: true, end: 50 }) }
  await t.rejects(seek(backend, image, 50, 'data', { signal }), /ends at 50/)
})

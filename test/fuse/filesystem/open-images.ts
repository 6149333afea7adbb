/** Opens, counted and bound. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { OpenImages } from '../../../src/fuse/filesystem/open-images.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

/** Never called here: only its identity matters. */
const file = {} as StoreFile

function setUp() {
  const backend = new FakeBackend()
  backend.file = file
  const known = backend.add({ name: 'a', sizeBytes: 10 })
  const bound = new Map<bigint, StoreFile>()
  const binder = {
    bind: (handle: bigint, file: StoreFile) => void bound.set(handle, file),
    unbind: (handle: bigint) => void bound.delete(handle),
  }
  const opens = () => backend.opens.get(known.image.id) ?? 0
  return { backend, known, bound, opens, images: new OpenImages(backend, binder) }
}

t.test('several opens share one binding, and the last release ends it', async t => {
  const { known, bound, opens, images } = setUp()
  await Promise.all([images.open(known), images.open(known)])
  await images.open(known)
  t.equal(opens(), 1)
  t.equal(bound.get(known.nodeId), file)
  t.equal(images.ready(known.nodeId), known)
  images.release(known.nodeId)
  images.release(known.nodeId)
  t.equal(images.ready(known.nodeId), known, 'one open is left')
  images.release(known.nodeId)
  await until(() => opens() === 0, patienceMs, 'the backend has its image back')
  t.equal(bound.size, 0)
  t.equal(images.ready(known.nodeId), null)
  images.release(known.nodeId)
  t.equal(opens(), 0, 'one release too many is none')
})

t.test('an image without a data file is open and not bound', async t => {
  const { backend, known, bound, images } = setUp()
  backend.file = null
  await images.open(known)
  t.equal(bound.size, 0)
  t.equal(images.ready(known.nodeId), known)
})

t.test('an open that fails leaves nothing, and the next one tries again', async t => {
  const { backend, known, bound, opens, images } = setUp()
  backend.failWith = { method: 'open', error: new CacheError('store-failed', 'no') }
  const both = await Promise.allSettled([images.open(known), images.open(known)])
  t.same(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  t.equal([...images.ids()].length, 0)
  backend.failWith = null
  await images.open(known)
  t.equal(opens(), 1)
  t.equal(bound.size, 1)
})

t.test('an open right after a release that was still opening ends bound', async t => {
  const { backend, known, bound, opens, images } = setUp()
  let go = () => {}
  backend.holdUntil = { method: 'open', promise: new Promise(resolve => (go = resolve)) }
  const first = images.open(known)
  images.release(known.nodeId)
  const second = images.open(known)
  go()
  await Promise.all([first, second])
  await until(() => opens() === 1, patienceMs, 'the first open has ended')
  t.equal(bound.get(known.nodeId), file)
  t.equal([...images.ids()].length, 1)
})

t.test('ensuring opens once, and counts no further open', async t => {
  const { known, opens, images } = setUp()
  await Promise.all([images.ensure(known), images.ensure(known)])
  await images.ensure(known)
  t.equal(opens(), 1)
  images.release(known.nodeId)
  await until(() => opens() === 0, patienceMs, 'released')
})

t.test('closing ends every open', async t => {
  const { known, bound, opens, images } = setUp()
  await images.open(known)
  await images.open(known)
  images.close()
  await until(() => opens() === 0, patienceMs, 'released')
  t.equal(bound.size, 0)
  t.equal([...images.ids()].length, 0)
})

t.test('a rebinding follows the data file, and binds nothing that was closed meanwhile', async t => {
  const { backend, known, bound, images } = setUp()
  await images.open(known)
  backend.file = null
  await images.rebind()
  t.equal(bound.size, 0, 'no file answers hits any more')
  backend.file = file
  await images.rebind()
  t.equal(bound.get(known.nodeId), file)
  const [asked, answer] = [deferred(), deferred<StoreFile | null>()]
  backend.fileOf = () => {
    asked.resolve()
    return answer.promise
  }
  const rebound = images.rebind()
  await asked.promise
  images.release(known.nodeId)
  await until(() => bound.size === 0, patienceMs, 'the release')
  answer.resolve(file)
  await rebound
  t.equal(bound.size, 0)
})

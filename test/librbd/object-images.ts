/** Images whose objects the view shows: held open once, bound while they are, and given back. */
import t from 'tap'
import { identify } from '../../src/base/image.ts'
import type { KnownImage } from '../../src/fuse/filesystem/backend.ts'
import { ObjectImages } from '../../src/librbd/object-images.ts'
import { imagePartOf } from '../../src/librbd/object-node.ts'
import type { StoreFile } from '../../src/native/addon.ts'
import { deferred, nextIteration } from '../fixtures/deferred.ts'

const file = {} as StoreFile
const knownOf = (number: number, below = 0): KnownImage => ({
  image: identify({
    origin: 'rbd://pool/',
    key: `image${number}.${below}`,
    sizeBytes: 2 ** 23,
    validator: 'v',
    modifiedMs: 0,
  }),
  nodeId: (BigInt(number) << 33n) | BigInt(below),
})
const part = imagePartOf(knownOf(1).nodeId)

function setUp() {
  const there: KnownImage[] = []
  const bound = new Map<number, StoreFile>()
  const described = new Map<number, KnownImage>()
  const state = {
    file: file as StoreFile | null,
    open: 0,
    opened: 0,
    gate: Promise.resolve(),
    error: null as Error | null,
  }
  const images = new ObjectImages({
    open: async () => {
      state.opened++
      await state.gate
      if (state.error) throw state.error
      state.open++
      return state.file
    },
    release: () => void state.open--,
    imageWhere: holds => there.find(({ nodeId }) => holds(nodeId)) ?? null,
    binder: {
      bind: (handle, given) => void bound.set(Number(handle), given),
      unbind: handle => void bound.delete(Number(handle)),
      describe: (of, known) => void (known ? described.set(of, known) : described.delete(of)),
    },
  })
  return { images, there, bound, described, state }
}

t.test('an image is opened once, bound and described, and its end leaves nothing', async t => {
  const { images, bound, described, state } = setUp()
  await images.openAs(knownOf(1))
  await images.openAs(knownOf(1))
  await images.ensure(part)
  t.same([state.opened, [...bound.keys()], [...described.keys()]], [1, [part], [part]])
  images.close(part)
  await nextIteration()
  t.same([state.open, bound.size, described.size, images.ready(part)], [0, 0, 0, null])
})

t.test('two images with one part are not taken for each other', async t => {
  const { images, there } = setUp()
  const [one, other] = [knownOf(1), knownOf(1, 1)]
  t.equal(imagePartOf(other.nodeId), part)
  there.push(one)
  t.equal(await images.openAs(other), null)
  t.ok(await images.openAs(one))
})

t.test('one that was opened without a data file is opened anew, and what it had is given back', async t => {
  const { images, bound, state } = setUp()
  state.file = null
  await images.openAs(knownOf(1))
  t.equal(bound.size, 0)
  state.file = file
  t.equal((await images.openAs(knownOf(1)))?.file, file)
  await nextIteration()
  t.same([state.opened, state.open, bound.size, images.ready(part)?.nodeId], [2, 1, 1, knownOf(1).nodeId])
})

t.test('an open that fails leaves nothing, and the next one tries again', async t => {
  const { images, state } = setUp()
  state.error = new Error('EIO')
  await t.rejects(images.openAs(knownOf(1)), /EIO/)
  t.equal(images.size, 0)
  state.error = null
  t.ok(await images.openAs(knownOf(1)))
})

t.test('a rebinding follows the data file, and binds nothing that was closed meanwhile', async t => {
  const { images, bound } = setUp()
  await images.openAs(knownOf(1))
  const told: (StoreFile | null)[] = []
  const tell = (_part: number, _image: unknown, given: StoreFile | null) => void told.push(given)
  await images.rebind(async () => null, tell)
  t.same([bound.size, told], [0, [null]])
  await images.rebind(async () => file, tell)
  t.same([bound.size, told.length], [1, 2])
  const [asked, answer] = [deferred(), deferred<StoreFile | null>()]
  const rebound = images.rebind(() => {
    asked.resolve()
    return answer.promise
  }, tell)
  await asked.promise
  images.close(part)
  await nextIteration()
  answer.resolve(file)
  await rebound
  t.same([bound.size, told.length], [0, 2])
})

t.test('what is being opened when all is closed is given back', async t => {
  const { images, bound, described, state } = setUp()
  const gate = deferred()
  state.gate = gate.promise
  const opening = images.openAs(knownOf(1))
  images.closeAll()
  gate.resolve()
  await t.rejects(opening, { code: 'expired' })
  t.same([state.open, bound.size, described.size], [0, 0, 0])
})

t.test('one that is closed while it opens, and opened again, stays bound', async t => {
  const { images, bound, described, state } = setUp()
  const gate = deferred<void>()
  state.gate = gate.promise
  const first = images.openAs(knownOf(1))
  await nextIteration()
  images.close(part)
  const second = images.openAs(knownOf(1))
  gate.resolve()
  await Promise.all([first, second])
  await nextIteration()
  t.same([state.opened, state.open], [2, 1])
  t.same([[...bound.keys()], [...described.keys()]], [[part], [part]])
  t.ok(images.ready(part))
})

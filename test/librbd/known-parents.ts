/** Known parents without a cluster: learned at the first ask, checked now and then, and let go. */
import t, { type Test } from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import { identify } from '../../src/base/image.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { KnownImage } from '../../src/fuse/filesystem/backend.ts'
import { numberOfRefusal } from '../../src/librbd/answer-kinds.ts'
import { KnownParents, type ParentPlace } from '../../src/librbd/known-parents.ts'
import { parentIdleMs, parentsSoughtAtOnce } from '../../src/librbd/limits.ts'
import { imagePartOf } from '../../src/librbd/object-node.ts'
import type { ParentName } from '../../src/native/librbd.ts'
import type { FoundParent, ParentFinder, ParentRefusal } from '../../src/origin/contract/parent-finder.ts'
import { deferred } from '../fixtures/deferred.ts'
import { until } from '../fixtures/until.ts'

const nameOf = (number: number): ParentName => ({
  ...{ poolId: 1n, snapshotId: BigInt(number), namespace: '' },
  prefix: `rbd_data.${number.toString(16)}`,
})
const found = (number: number): FoundParent => ({
  ...{ keys: [`image${number}@v1`], validator: `"${number}"`, sizeBytes: 2 ** 23, objectBytes: 2 ** 22 },
  existing: null,
})
const knownOf = (number: number, validator = `"${number}"`): KnownImage => ({
  image: identify({ origin: 'rbd://pool/', key: `image${number}@v1`, sizeBytes: 2 ** 23, validator, modifiedMs: 0 }),
  nodeId: BigInt(number) << 33n,
})
const numberIn = (key: string) => Number(/\d+/.exec(key)![0])

type Answer = FoundParent | ParentRefusal | null
type Answers = (name: ParentName) => Answer | Promise<Answer>

function setUp(t: Test, more: { answers?: Answers; max?: number; known?: typeof knownOf; places?: number } = {}) {
  const { answers = name => found(Number(name.snapshotId)), max, known = knownOf, places = 1 } = more
  const there = new Set<bigint>()
  const asked = new Set<bigint>()
  const events: string[] = []
  let nowMs = 0
  let waiting: ParentName[] = []
  const finder: ParentFinder = {
    url: 'rbd://pool/',
    findParent: async name => {
      there.add(name.snapshotId)
      return await answers(name)
    },
    hasParent: async ({ snapshotId }) => there.has(snapshotId),
  }
  const place: ParentPlace = { directory: null, finder }
  const parents = new KnownParents(
    {
      responder: {
        setParent: (name, { image }) => void events.push(`known ${name.snapshotId} ${image}`),
        refuseParent: (name, reason) => void events.push(`refused ${name.snapshotId} ${reason}`),
        removeParent: name => void events.push(`removed ${name.snapshotId}`),
        takeAsked: ({ snapshotId }) => asked.delete(snapshotId),
        takeUnknown: () => waiting.splice(0),
      },
      places: () => Array.from({ length: places }, () => place),
      imageOfName: () => null,
      lookup: async (_directory, key) => known(numberIn(key)),
      images: {
        openAs: async image => ({ known: image, file: null }),
        close: part => void events.push(`closed ${part}`),
      },
      leftToCluster: () => 0,
      logger: silentLogger,
      now: () => nowMs,
    },
    max,
  )
  t.teardown(() => parents.close())
  const ask = async (...names: readonly ParentName[]) => {
    const before = events.length
    waiting = [...names]
    parents.onUnknown()
    await until(() => events.length >= before + names.length, 60_000, 'all are answered')
    return events.splice(0)
  }
  const check = async () => {
    await parents.check()
    return events.splice(0)
  }
  return { parents, finder, there, asked, events, ask, check, pass: (ms: number) => void (nowMs += ms) }
}

const partOf = (number: number) => imagePartOf(knownOf(number).nodeId)

t.test('a parent is learned at its first ask, and stays while it is there', async t => {
  const { parents, ask, check, asked } = setUp(t)
  t.same(await ask(nameOf(1)), [`known 1 ${partOf(1)}`])
  t.equal(parents.known, 1)
  t.match(parents.status(), [{ poolId: '1', snapshotId: '1', image: 'image1@v1', refusal: null }])
  t.match([...parents.entries()], [{ image: { order: 22, sizeBytes: 2 ** 23 } }])
  asked.add(1n)
  t.same(await check(), [])
})

t.test('a snapshot that has gone is let go by the next check, and asked for again it is refused', async t => {
  const { parents, there, ask, check } = setUp(t, {
    answers: ({ snapshotId }) => (there.size > 1 ? 'gone' : found(Number(snapshotId))),
  })
  await ask(nameOf(1))
  there.delete(1n)
  t.same(await check(), ['removed 1', `closed ${partOf(1)}`])
  t.equal(parents.known, 0)
  there.add(99n)
  t.same(await ask(nameOf(1)), [`refused 1 ${numberOfRefusal('gone')}`])
})

t.test('a snapshot that comes is learned after a check: a refusal holds no longer', async t => {
  let answer: FoundParent | ParentRefusal = 'gone'
  const { parents, ask, check } = setUp(t, { answers: () => answer })
  t.same(await ask(nameOf(1)), [`refused 1 ${numberOfRefusal('gone')}`])
  t.match(parents.status(), [{ image: null, refusal: 'gone' }])
  answer = found(1)
  t.same(await check(), ['removed 1'])
  t.same(await ask(nameOf(1)), [`known 1 ${partOf(1)}`])
})

t.test('an error of the cluster at a check is no answer', async t => {
  const { finder, ask, check } = setUp(t)
  await ask(nameOf(1))
  finder.hasParent = async () => {
    throw new CacheError('origin-unreachable', 'no monitor')
  }
  t.same(await check(), [])
})

t.test('a parent that nobody asks for is let go after an hour', async t => {
  const { ask, check, asked, pass } = setUp(t)
  await ask(nameOf(1), nameOf(2))
  pass(parentIdleMs)
  asked.add(2n)
  t.same(await check(), [])
  pass(1)
  t.same(await check(), ['removed 1', `closed ${partOf(1)}`])
})

t.test('an image that two parents are stays open for the other', async t => {
  const { there, ask, check } = setUp(t, { answers: () => found(7) })
  await ask(nameOf(1), nameOf(2))
  there.delete(1n)
  t.same(await check(), ['removed 1'])
  there.delete(2n)
  t.same(await check(), ['removed 2', `closed ${partOf(7)}`])
})

t.test('of one parent too many the one that was not asked for for longest leaves', async t => {
  const { ask, check, asked } = setUp(t, { max: 2 })
  await ask(nameOf(1))
  await ask(nameOf(2))
  asked.add(1n)
  await check()
  t.same(await ask(nameOf(3)), [`known 3 ${partOf(3)}`, 'removed 2', `closed ${partOf(2)}`])
})

t.test('no more searches than there may be go on at once', async t => {
  let [now, most] = [0, 0]
  const releases: (() => void)[] = []
  const answers = async () => {
    most = Math.max(most, ++now)
    await new Promise<void>(resolve => releases.push(resolve))
    now--
    return null
  }
  const { ask } = setUp(t, { answers })
  const names = Array.from({ length: parentsSoughtAtOnce + 1 }, (_, k) => nameOf(k + 1))
  const asking = ask(...names)
  await until(() => releases.length === parentsSoughtAtOnce, 60_000, 'searches')
  t.equal(most, parentsSoughtAtOnce)
  releases.shift()!()
  await until(() => releases.length === parentsSoughtAtOnce, 60_000, 'the next search')
  for (const release of releases) release()
  t.equal((await asking).length, parentsSoughtAtOnce + 1)
  t.equal(most, parentsSoughtAtOnce)
})

t.test('whatever is not certain is refused, by its reason', async t => {
  const refused = async (more: Parameters<typeof setUp>[1]) => {
    const [event] = await setUp(t, more).ask(nameOf(1))
    return event
  }
  const is = (refusal: ParentRefusal) => `refused 1 ${numberOfRefusal(refusal)}`
  t.equal(await refused({ answers: () => 'encrypted' }), is('encrypted'))
  t.equal(await refused({ answers: () => null }), is('not-an-origin'))
  t.equal(await refused({ places: 0 }), is('not-an-origin'))
  t.equal(await refused({ answers: () => ({ ...found(1), objectBytes: 3 * 2 ** 20 }) }), is('unsupported'))
  t.equal(await refused({ known: number => knownOf(number, '"other"') }), is('gone'), 'another version by that name')
  const down = () => Promise.reject(new CacheError('origin-unreachable', 'no monitor'))
  t.equal(await refused({ answers: down }), is('unreachable'))
})

t.test('after a close nothing is learned', async t => {
  const { parents, events } = setUp(t)
  parents.close()
  parents.onUnknown()
  await new Promise(resolve => setImmediate(resolve))
  t.same(events, [])
})

t.test('a check that ends after its parent was learned anew lets the new one be', async t => {
  const { finder, parents, ask, events, pass } = setUp(t)
  await ask(nameOf(1))
  const { promise, resolve } = deferred<boolean>()
  finder.hasParent = () => promise
  const checking = parents.check()
  pass(1)
  t.same(await ask(nameOf(1)), [`known 1 ${partOf(1)}`])
  resolve(false)
  await checking
  t.same(events, [])
  t.equal(parents.known, 1)
})

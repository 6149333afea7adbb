/**
 * The limit on calls at once.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { ConcurrencyLimitOrigin } from '../../../src/origin/wrappers/concurrency-limit.ts'
import { originQueueMax } from '../../../src/origin/wrappers/limits.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { ScriptedOrigin } from '../../fixtures/scripted-origin.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

originContract('a limited directory', async directory => {
  return new ConcurrencyLimitOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), 2)
})

const signal = new AbortController().signal
/** An origin with calls that wait to be let go, in order of arrival. */
function held(activeMax: number, queueMax?: number) {
  const waiting: (() => void)[] = []
  const inner = new ScriptedOrigin({ a: new Uint8Array(1) }, () => new Promise<void>(resolve => waiting.push(resolve)))
  return { waiting, inner, limited: new ConcurrencyLimitOrigin(inner, activeMax, queueMax) }
}

t.test('no more calls than allowed are under way, and the others go in order of arrival', async t => {
  const { waiting, inner, limited } = held(2)
  const ended: number[] = []
  const calls = [0, 1, 2, 3, 4].map(k => limited.lookup('a', { signal }).then(() => ended.push(k)))
  await until(() => inner.calls === 2, patienceMs, 'two calls are under way')
  t.same(limited.load, { active: 2, waiting: 3 })
  for (let done = 1; done <= 5; done++) {
    waiting.shift()?.()
    await until(() => ended.length === done, patienceMs, `${done} calls have ended`)
    t.equal(inner.calls, Math.min(5, done + 2))
  }
  await Promise.all(calls)
  t.same(ended, [0, 1, 2, 3, 4])
  t.same(limited.load, { active: 0, waiting: 0 })
})

t.test('those who wait for one process do not hold up another', async t => {
  const { waiting, limited } = held(1)
  const ended: string[] = []
  const image = identify({ origin: 'scripted:///', key: 'a', sizeBytes: 1, validator: '1', modifiedMs: 1 })
  const read = (name: string, opener?: number) =>
    limited.read(image, 0, new Uint8Array(1), { signal, opener }).then(() => ended.push(name))
  const reads = [read('a1', 1), read('a2', 1), read('a3', 1), read('b1', 2), read('nobody')]
  for (const end of [1, 2, 3, 4, 5]) {
    await until(() => waiting.length > 0, patienceMs, `call ${end}`)
    waiting.shift()?.()
    await until(() => ended.length === end, patienceMs, `${end} have ended`)
  }
  await Promise.all(reads)
  t.same(ended, ['a1', 'a2', 'b1', 'nobody', 'a3'])
})

t.test('a caller who leaves the queue gives up its place and nobody else its own', async t => {
  const { waiting, inner, limited } = held(1)
  const first = limited.lookup('a', { signal })
  const controller = new AbortController()
  const second = limited.lookup('a', { signal: controller.signal })
  const third = limited.list({ signal })
  controller.abort()
  await t.rejects(second, { code: 'aborted' })
  t.same(limited.load, { active: 1, waiting: 1 })
  waiting.shift()?.()
  await first
  await until(() => inner.calls === 2, patienceMs, 'the third is under way')
  waiting.shift()?.()
  await third
  t.same(limited.load, { active: 0, waiting: 0 })
})

t.test('a call that fails gives its place on', async t => {
  const inner = new ScriptedOrigin({}, () => {})
  const limited = new ConcurrencyLimitOrigin(inner, 1)
  const calls = ['x', 'y', 'z'].map(name => t.rejects(limited.lookup(name, { signal }), { code: 'not-found' }))
  await Promise.all(calls)
  t.same(limited.load, { active: 0, waiting: 0 })
})

t.test('as many callers wait as the kernel may have reads outstanding, and one more is refused', async t => {
  const { waiting, limited } = held(1)
  const first = limited.lookup('a', { signal })
  // A signal each, as readers have: one signal looks through all its listeners for each that it gets.
  const controllers = Array.from({ length: originQueueMax }, () => new AbortController())
  const others = controllers.map(({ signal }) => limited.lookup('a', { signal }).catch(error => error.code))
  t.same(limited.load, { active: 1, waiting: originQueueMax })
  await t.rejects(limited.lookup('a', { signal }), { code: 'overloaded' })
  for (const controller of controllers) controller.abort()
  t.same(new Set(await Promise.all(others)), new Set(['aborted']))
  waiting.shift()?.()
  await first
})

t.test('one caller more than the queue holds is refused, and the others are not', async t => {
  const { waiting, inner, limited } = held(1, 2)
  const calls = [0, 1, 2].map(() => limited.lookup('a', { signal }))
  await t.rejects(limited.lookup('a', { signal }), { code: 'overloaded' })
  for (let k = 1; k <= 3; k++) {
    await until(() => inner.calls === k, patienceMs, `call ${k} is under way`)
    waiting.shift()?.()
  }
  await Promise.all(calls)
})

/** Reads of session threads under a grant, which begin and end as a test says. */
function granted(activeMax: number) {
  const grant = {
    readsMax: -1,
    underWay: 0,
    limit: (readsMax: number) => {
      grant.readsMax = readsMax
      return grant.underWay
    },
  }
  const waiting: (() => void)[] = []
  const inner = new ScriptedOrigin({ a: new Uint8Array(1) }, () => new Promise<void>(resolve => waiting.push(resolve)))
  const limited = new ConcurrencyLimitOrigin(inner, activeMax, undefined, grant)
  const calls: Promise<unknown>[] = []
  const call = () => calls.push(limited.lookup('a', { signal }))
  const end = async () => {
    const active = inner.calls
    waiting.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
    return inner.calls - active
  }
  return { grant, inner, limited, waiting, calls, call, end }
}

t.test('session threads have what is left of the bound, and half of it at most', async t => {
  const { grant, limited, calls, call, end } = granted(8)
  t.equal(grant.readsMax, 4)
  const left: number[] = []
  for (let k = 0; k < 8; k++) {
    call()
    left.push(grant.readsMax)
  }
  t.same(left, [4, 4, 4, 4, 3, 2, 1, 0])
  t.same(limited.load, { active: 8, waiting: 0 })
  const given: number[] = []
  for (let k = 0; k < 8; k++) {
    await end()
    given.push(grant.readsMax)
  }
  t.same(given, [1, 2, 3, 4, 4, 4, 4, 4])
  await Promise.all(calls)
  const alone = granted(1)
  t.equal(alone.grant.readsMax, 0, 'a single slot is not shared')
})

t.test('a call takes no slot that a session thread has, and the calls that wait get it back', async t => {
  const { grant, inner, limited, waiting, calls, call, end } = granted(8)
  grant.underWay = 4
  for (let k = 0; k < 6; k++) call()
  await new Promise(resolve => setImmediate(resolve))
  t.same(limited.load, { active: 4, waiting: 2 })
  t.equal(grant.readsMax, 3, 'the next one that ends is not theirs any more')
  grant.underWay = 3
  call()
  t.same(limited.load, { active: 4, waiting: 3 }, 'it does not pass those that wait')
  t.equal(await end(), 2, 'the slot of the call that ended, and the other one')
  t.same(limited.load, { active: 5, waiting: 1 })
  grant.underWay = 0
  while (waiting.length > 0) await end()
  await Promise.all(calls)
  t.equal(inner.calls, 7)
  t.same(limited.load, { active: 0, waiting: 0 })
  t.equal(grant.readsMax, 4)
})

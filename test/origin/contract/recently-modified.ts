/** Versions that could be taken for the next one: how long a lookup waits, and what it gives then. */
import t from 'tap'
import { youngLooksMax, youngNamesMax } from '../../../src/origin/contract/limits.ts'
import { type Look, YoungVersions } from '../../../src/origin/contract/recently-modified.ts'
import { httpTickMs } from '../../../src/origin/http/limits.ts'

const { signal } = new AbortController()

/** Looks, each after the wait before it, and what was waited. */
function scripted(script: readonly (Pick<Look, 'ageMs'> & { readonly validator: string })[], key = 'a') {
  let nowMs = 0
  const pauses: number[] = []
  const asked: boolean[] = []
  const waiting = {
    now: () => nowMs,
    pause: async (ms: number) => {
      pauses.push(ms)
      nowMs += ms
    },
  }
  const look = async (isAgain: boolean): Promise<Look> => {
    asked.push(isAgain)
    const { validator, ageMs } = script[Math.min(asked.length, script.length) - 1]!
    return { facts: { origin: 'http://x/', key, sizeBytes: 1, validator, modifiedMs: 0 }, ageMs, tickMs: httpTickMs }
  }
  return { young: new YoungVersions(waiting), look, pauses, asked }
}

t.test('a version whose tick is over, or of which no age is told, is taken at once', async t => {
  for (const ageMs of [httpTickMs, 1e12, null]) {
    const { young, look, pauses } = scripted([{ validator: 'v', ageMs }])
    t.equal((await young.settle(look, signal)).facts.validator, 'v')
    t.same(pauses, [], `${ageMs}`)
  }
})

t.test('a young version is waited for as long as its tick lasts, and looked at again', async t => {
  for (const [ageMs, waitMs] of [
    [0, httpTickMs],
    [1000, 1000],
    [httpTickMs - 1, 1],
    [-3_600_000, httpTickMs],
  ] as const) {
    const { young, look, pauses, asked } = scripted([
      { validator: 'v', ageMs },
      { validator: 'w', ageMs: ageMs + waitMs },
      { validator: 'w', ageMs: httpTickMs },
    ])
    t.equal((await young.settle(look, signal)).facts.validator, 'w', `${ageMs}: the later one`)
    t.ok(pauses[0]! >= waitMs && pauses[0]! <= waitMs + 100, `${ageMs}: ${pauses[0]} ms`)
    t.same(asked.slice(0, 2), [false, true])
  }
})

t.test('a version that was seen a tick before is old, whatever is said of it, and is remembered for that', async t => {
  const { young, look, pauses, asked } = scripted([{ validator: 'v', ageMs: -1e9 }])
  t.equal((await young.settle(look, signal)).facts.validator, 'v')
  t.same([pauses.length, asked], [1, [false, true]])
  await young.settle(look, signal)
  t.same([pauses.length, asked.length], [1, 3], 'the next lookup does not wait')
})

t.test('a version that was seen less than a tick before is not old', async t => {
  const { young, look, asked } = scripted([
    { validator: 'v', ageMs: 1500 },
    { validator: 'v', ageMs: 1999 },
    { validator: 'v', ageMs: 2000 },
  ])
  await young.settle(look, signal)
  t.equal(asked.length, 3)
})

t.test('one that is replaced again and again is given up', async t => {
  const script = Array.from({ length: youngLooksMax + 1 }, (_, k) => ({ validator: `${k}`, ageMs: 0 }))
  const { young, look, asked } = scripted(script)
  await t.rejects(young.settle(look, signal), { code: 'image-changed' })
  t.equal(asked.length, youngLooksMax)
})

t.test('as many names are remembered as may be, the latest ones', async t => {
  const { young, pauses } = scripted([])
  const waitsFor = async (key: string) => {
    const before = pauses.length
    await young.settle(scripted([{ validator: 'v', ageMs: 0 }], key).look, signal)
    return pauses.length > before
  }
  for (let k = 0; k <= youngNamesMax; k++) await waitsFor(`${k}`)
  t.equal(pauses.length, youngNamesMax + 1)
  t.notOk(await waitsFor('1'))
  t.notOk(await waitsFor(`${youngNamesMax}`))
  t.ok(await waitsFor('0'), 'the one that was first has gone')
})

t.test('who leaves does not wait', async t => {
  const { look } = scripted([{ validator: 'v', ageMs: 0 }])
  const controller = new AbortController()
  const settling = new YoungVersions().settle(look, controller.signal)
  controller.abort()
  await t.rejects(settling, { code: 'aborted' })
})

/**
 * Power cuts at every named step of promote, commit, evict, drop, replace, retire, reconcile, shutdown and moves to
 * another directory: the code of the store and of the index over a disk that loses, tears and reorders unsynced writes.
 * After each: right bytes only, no record without its bytes, nothing lost that a flush had made durable, every orphan
 * reclaimed, and every node known that the kernel was told. Session threads miss beside all that, by a script.
 *
 * A life is lived to its end. At some of its steps the remains of a power cut there are kept, cut in several ways, and
 * started again. RUNS=n cuts per step; SEED=n another sequence.
 */
import t from 'tap'
import { CrashWorld, type Cut } from '../fixtures/crash-world.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

const cutsWanted = Number(process.env.RUNS ?? 8)
/** Moments that one life keeps of each step, and the ways in which the power is cut there. */
const momentsPerStep = 2
const waysPerMoment = 2
/** Lives without a cut that is still wanted, before the test gives up on a step. */
const fruitlessLivesMax = 50
/** Share of lives in which the cache moves to another directory. */
const moveShare = 0.2

/** Every step there is; a life that meets another one fails the test. */
const steps = [
  'write:before',
  'write:half',
  'write:after',
  'sync:before',
  'sync:after',
  'directory-sync:before',
  'directory-sync:after',
  'record:before',
  'record:after',
  'forget:before',
  'forget:after',
  'punch:before',
  'punch:after',
  'verify',
  'seek',
  'recency:before',
  'recency:after',
  'image:before',
  'image:after',
  'name:before',
  'name:after',
  'remove-objects:before',
  'remove-objects:after',
  'remove-image:before',
  'remove-image:after',
  'remove:before',
  'remove:after',
  'fetch:claimed',
  'fetch:here',
  'fetch:failed',
  'fetch:released',
  'fetch:freed',
  'move-copy:before',
  'move-copy:after',
  'move-empty:before',
  'move-empty:half',
  'move-empty:after',
]

/** Moments of one life: of each wanted step a few, each as likely as any other. */
class Moments {
  readonly kept = new Map<string, Cut[]>()
  readonly #seen = new Map<string, number>()
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  offer(step: string, keep: () => Cut): void {
    const nth = (this.#seen.get(step) ?? 0) + 1
    this.#seen.set(step, nth)
    const cuts = this.kept.get(step) ?? []
    this.kept.set(step, cuts)
    const place = nth <= momentsPerStep ? nth - 1 : between(this.#random, 0, nth)
    if (place < momentsPerStep) cuts[place] = keep()
  }
}

/** A first life, with its remains: records, orphans of a cut, a lost or a foreign data file, a flipped bit. */
async function leaveSomething(random: () => number): Promise<Pick<Cut, 'disk' | 'index'>> {
  const world = new CrashWorld(random)
  let [seen, cut] = [0, null as Cut | null]
  world.onStep = step => {
    if (random() < 1 / ++seen) cut = world.cut(step)
  }
  await world.boot()
  await world.work(8)
  await world.close()
  world.onStep = () => {}
  const left = new CrashWorld(random, random() < 0.5 && cut ? cut : world.cut('the end'))
  const names = await left.disk.names()
  if (names.length > 0 && random() < 0.3) await left.disk.remove(names[between(random, 0, names.length)]!)
  if (random() < 0.3) left.disk.open('0123456789abcdef', 8192, 4096)
  await left.disk.sync()
  if (random() < 0.3) for (let flips = between(random, 1, 6); flips > 0; flips--) left.disk.flipBit()
  return left.cut('the end')
}

/** A life of which moments are kept. */
async function live(random: () => number, isWanted: (step: string) => boolean): Promise<ReadonlyMap<string, Cut[]>> {
  const world = new CrashWorld(random, await leaveSomething(random))
  const moments = new Moments(seeded(between(random, 0, 2 ** 31)))
  if (random() < 0.2) world.disk.failedSyncShare = 0.5
  world.onStep = step => {
    if (isWanted(step)) moments.offer(step, () => world.cut(step))
  }
  await world.boot()
  for (const cut of [...moments.kept.values()].flat()) cut.durable ??= world.durable
  await world.work(12)
  if (random() < moveShare) {
    await world.move()
    await world.work(4)
  }
  if (random() < 0.5) world.onStep = () => {}
  await world.close()
  return moments.kept
}

interface Outcome {
  cuts: number
  /** Errors found, each with the seed that leads there again. */
  readonly wrong: string[]
}

t.setTimeout(3_600_000 * 4)

t.test(`${cutsWanted} power cuts at each step leave nothing wrong (SEED=${seed})`, async t => {
  const outcomes = new Map<string, Outcome>(steps.map(step => [step, { cuts: 0, wrong: [] }]))
  const isWanted = (step: string) => !outcomes.has(step) || outcomes.get(step)!.cuts < cutsWanted
  let lives = 0
  for (let fruitless = 0; fruitless < fruitlessLivesMax && steps.some(isWanted); lives++) {
    const random = seeded(seed + lives * 7919)
    let found = 0
    for (const [step, cuts] of await live(random, isWanted)) {
      const outcome = outcomes.get(step) ?? { cuts: 0, wrong: ['it is not in the list of steps'] }
      outcomes.set(step, outcome)
      for (const cut of cuts) {
        for (let way = 0; way < waysPerMoment; way++) {
          outcome.cuts++
          found++
          await CrashWorld.inspect(seeded(between(random, 0, 2 ** 31)), cut).catch(error => {
            outcome.wrong.push(`life ${lives}: ${error.message}`)
          })
        }
      }
    }
    fruitless = found > 0 ? 0 : fruitless + 1
  }
  t.comment(`${lives} lives`)
  for (const [step, { cuts, wrong }] of outcomes) {
    t.ok(cuts >= cutsWanted, `${step}: ${cuts} cuts, ${wrong.length} violations`)
    t.same(wrong.slice(0, 5), [], step)
  }
})

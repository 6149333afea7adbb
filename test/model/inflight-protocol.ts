/**
 * The protocol of the in-flight table, tried in every interleaving: session threads look, claim, look again and fetch;
 * TypeScript claims, fetches, publishes and releases, and takes over what session threads brought.
 *
 * In the right orders a block is fetched once and no claim stays. Each wrong order fetches it twice somewhere, or
 * leaves a claim for ever, of which a reader would wait for ever. Steps under the mutex of the native table are one
 * step.
 */
import t from 'tap'

/** One block. */
interface World {
  resident: boolean
  claimed: boolean
  fetches: number
  /** Arrivals that were reported and not published yet. */
  reported: number
  /** A prefetch has looked and not begun: session threads alone do something in between. */
  inTurn: boolean
}

/** Does something, and says at which step its thread goes on. */
type Step = (world: World, at: number) => number

const end = 99

/** A step that a thread may take only while `may` holds: it waits. */
interface Waiting {
  readonly may: (world: World) => boolean
  readonly step: Step
}

type Thread = readonly (Step | Waiting)[]

const look: Step = (world, at) => (world.resident ? end : at + 1)
/** A claim of another thread is joined, which fetches nothing. */
const claim: Step = (world, at) => {
  if (world.claimed) return end
  world.claimed = true
  return at + 1
}
const lookAgain: Step = (world, at) => {
  if (!world.resident) return at + 1
  world.claimed = false
  return end
}
const fetch: Step = (world, at) => {
  world.fetches++
  return at + 1
}
const report: Step = (world, at) => {
  world.reported++
  return at + 1
}
/** Not within the turn of a prefetch, which is TypeScript's too. */
const publish: Waiting = {
  may: world => !world.inTurn,
  step: (world, at) => {
    world.resident = true
    return at + 1
  },
}
const release: Step = (world, at) => {
  world.claimed = false
  return at + 1
}
const plan: Step = (world, at) => {
  world.inTurn = !world.resident && !world.claimed
  return world.inTurn ? at + 1 : end
}
const begin: Step = (world, at) => {
  world.inTurn = false
  return claim(world, at)
}
const beginAnyway: Step = (world, at) => {
  begin(world, at)
  return at + 1
}
/** TypeScript alone publishes, so nothing is published between its look and its claim. */
const lookAndClaim: Step = (world, at) => (world.resident ? end : claim(world, at))
const take: Waiting = {
  may: world => world.reported > 0,
  step: (world, at) => {
    world.reported--
    return at + 1
  },
}

const native: Thread = [look, claim, lookAgain, fetch, report]
const failing: Thread = [look, claim, lookAgain, fetch, release]
const script: Thread = [lookAndClaim, fetch, publish, release]
const prefetch: Thread = [plan, begin, fetch, publish, release]
const promotion: Thread = [take, publish, release]

interface Outcome {
  readonly interleavings: number
  /** Those that fetched the block twice. */
  readonly twice: number
  /** Those after which a claim is left. */
  readonly stuck: number
}

function explore(threads: readonly Thread[], fetchesMax = 1): Outcome {
  let [interleavings, twice, stuck] = [0, 0, 0]
  const visit = (world: World, at: readonly number[]) => {
    let moved = false
    for (const [k, thread] of threads.entries()) {
      const next = thread[at[k]!]
      if (!next || ('may' in next && !next.may(world))) continue
      moved = true
      const after = { ...world }
      const step = 'may' in next ? next.step : next
      const place = step(after, at[k]!)
      visit(after, at.with(k, place))
    }
    if (moved) return
    interleavings++
    if (world.fetches > fetchesMax) twice++
    if (world.claimed) stuck++
  }
  visit(
    { resident: false, claimed: false, fetches: 0, reported: 0, inTurn: false },
    threads.map(() => 0),
  )
  return { interleavings, twice, stuck }
}

t.test('a block is fetched once, whoever wants it, and no claim stays', async t => {
  for (const [name, threads] of [
    ['two session threads', [native, native, promotion]],
    ['a session thread and TypeScript', [native, script, promotion]],
    ['two and TypeScript', [native, native, script, promotion]],
    ['a session thread, a prefetch and TypeScript', [native, prefetch, script, promotion]],
  ] as const) {
    const { interleavings, twice, stuck } = explore(threads)
    t.ok(interleavings > 10, `${name}: ${interleavings} interleavings`)
    t.same([twice, stuck], [0, 0], name)
  }
})

t.test('a fetch that fails ends its claim, and the next one is the second at most', async t => {
  const { twice, stuck } = explore([failing, script, native, promotion], 2)
  t.same([twice, stuck], [0, 0])
  t.ok(explore([failing, script, native, promotion]).twice > 0)
})

t.test('each wrong order fetches a block twice somewhere', async t => {
  for (const [name, threads] of [
    ['no second look', [[look, claim, fetch, report], script, promotion]],
    ['the second look before the claim', [[look, lookAgain, claim, fetch, report], script, promotion]],
    ['no claim', [[look, fetch, report], script, promotion]],
    ['released before it is published', [native, [lookAndClaim, fetch, release, publish], promotion]],
    ['a native one released before it is published', [native, native, [take, release, publish]]],
    ['TypeScript looks in an earlier turn', [native, [look, claim, fetch, publish, release], promotion]],
    ['a prefetch that does not heed its claim', [native, [plan, beginAnyway, fetch, publish, release], promotion]],
    ['TypeScript without a claim', [native, [look, fetch, publish, release], promotion]],
  ] as const) {
    const { twice, interleavings } = explore(threads)
    t.ok(twice > 0, `${name}: ${twice} of ${interleavings}`)
  }
})

t.test('a claim that nobody ends stays', async t => {
  for (const [name, threads] of [
    ['a failed fetch keeps it', [[look, claim, lookAgain, fetch], script]],
    ['a second look that keeps it', [[look, claim, look, fetch, report], script, promotion]],
    ['an arrival that is not promoted keeps it', [native]],
  ] as const) {
    t.ok(explore(threads).stuck > 0, name)
  }
})

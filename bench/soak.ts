/**
 * `make soak MINUTES=n`: every kind of work and of fault at once, seeded, with a report at the end.
 *
 * Half of the time goes to one mount and all faults on it; the rest to the test files that take a count. SEED=n draws
 * another sequence; the variables of the suites (RUNS, KILLS, OPERATIONS, ...) set their counts. The exit code is 1
 * after any wrong byte, leak or failed check.
 */
import { readdirSync } from 'node:fs'
import type { Test } from 'tap'
import { seed, seeded } from '../test/fixtures/seeded.ts'
import { runSuite, type SuiteResult, suites } from './soak/suites.ts'
import { World } from './soak/world.ts'

const minutes = Number(process.env.MINUTES || 10)
const MiB = 1024 ** 2
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort())

/** As tap does it: last in, first out, whatever fails. */
const ends: (() => unknown)[] = []
const test = { teardown: (end: () => unknown) => ends.push(end) } as unknown as Pick<Test, 'teardown'>

async function tearDown(): Promise<void> {
  for (const end of ends.splice(0).reverse()) {
    await Promise.resolve(end()).catch(error => console.error(`soak: ${error}`))
  }
}

const openDescriptors = () => readdirSync('/proc/self/fd').length

/** Let things happen until the time is over. @returns what was wrong */
async function mix(untilMs: number): Promise<string[]> {
  const before = openDescriptors()
  const world = await World.start(test, seeded(seed))
  try {
    while (performance.now() < untilMs && world.offences.length === 0 && !interrupted.signal.aborted) {
      const startedMs = performance.now()
      const what = await world.happen()
      console.log(`${world.counts.events}: ${what} (${Math.round(performance.now() - startedMs)} ms)`)
    }
    await world.end()
  } catch (error) {
    world.offences.push(`${error}`)
  }
  await tearDown()
  const [first, last] = world.usage
  const { counts, reads } = world
  console.log(`\nmixed: ${JSON.stringify(counts)}`)
  console.log(
    `reads: ${reads.reads} right, ${reads.wrongReads} wrong, ${reads.failed} failed while something was broken`,
  )
  console.log(
    `longest read ${(reads.longestMs / 1000).toFixed(2)} s; peak use ${(100 * world.peakShare).toFixed(1)} % of capacity`,
  )
  if (first && last) {
    const grown = (last.rssAnonBytes - first.rssAnonBytes) / MiB
    console.log(`worker, first and last: ${JSON.stringify([first, last])}`)
    if (grown > 256) world.offences.push(`the last worker has ${grown.toFixed(0)} MiB more than the first`)
    // Versions that were replaced a moment ago are kept for a while.
    if (last.descriptors > first.descriptors + 128) {
      world.offences.push(`${last.descriptors} descriptors after ${first.descriptors}`)
    }
  }
  const after = openDescriptors()
  if (after > before + 8) world.offences.push(`${after} descriptors in the soak itself after ${before}`)
  return world.offences
}

function describe({ file, asked, passed, failed, seconds, comments }: SuiteResult): string {
  const last = comments.slice(failed > 0 ? 0 : -2).map(comment => `\n    ${comment.slice(0, 300)}`)
  return `${file} ${asked}: ${passed} passed, ${failed} failed, ${seconds} s${last.join('')}`
}

console.log(`soak: ${minutes} minutes, SEED=${seed}`)
const startedMs = performance.now()
const offences = await mix(startedMs + minutes * 30_000)
for (const suite of suites) {
  if (interrupted.signal.aborted) break
  const result = await runSuite(suite, minutes / 2, interrupted.signal)
  console.log(describe(result))
  if (result.failed > 0) offences.push(`${result.file} ${result.asked}: ${result.failed} failed`)
}
if (interrupted.signal.aborted) offences.push('interrupted')
for (const offence of offences) console.log(`NOT RIGHT: ${offence}`)
const tookMinutes = ((performance.now() - startedMs) / 60_000).toFixed(1)
console.log(
  `soak: ${tookMinutes} minutes, SEED=${seed}: ${offences.length === 0 ? 'all is right' : 'something is not right'}`,
)
process.exitCode = offences.length === 0 ? 0 : 1

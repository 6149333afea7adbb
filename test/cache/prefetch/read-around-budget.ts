/** The bytes around a miss that are worth fetching: by the path, by its load, and by what became of those before. */
import t from 'tap'
import {
  type ReadAroundChoice,
  readAroundChoices,
  readAroundCreditMax,
  readAroundEarnedShare,
  readAroundMissShare,
} from '../../../src/cache/fetch/limits.ts'
import { PrefetchAccuracy } from '../../../src/cache/prefetch/prefetch-accuracy.ts'
import { isBusy, ReadAroundBudget, ReadAroundTally } from '../../../src/cache/prefetch/read-around-budget.ts'
import { seed, seeded } from '../../fixtures/seeded.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const choices = Object.keys(readAroundChoices) as ReadAroundChoice[]

function budgeted(choice: ReadAroundChoice = 'balanced') {
  const [accuracy, tally] = [new PrefetchAccuracy(), new ReadAroundTally()]
  const state = { limits: readAroundChoices[choice] as (typeof readAroundChoices)[ReadAroundChoice] }
  const budget = new ReadAroundBudget(accuracy, () => state.limits, tally)
  return { accuracy, tally, budget, state }
}

/** A path without readers but the one that misses now. */
function path(latencyMs: number, bytesPerSecond: number, inFlightBytes = 64 * KiB) {
  return { bytesPerWait: (latencyMs / 1000) * bytesPerSecond, inFlightBytes }
}

t.test('as much is worth fetching as the path carries in the time of a wait', async t => {
  const { budget, tally } = budgeted('fast')
  const blocks = (latencyMs: number, bytesPerSecond: number) =>
    Math.floor(budget.bytesMax(path(latencyMs, bytesPerSecond)) / (64 * KiB))
  t.equal(blocks(10, 100 * MiB), 16, '10 ms and 100 MiB/s')
  t.equal(blocks(10, 1000 * MiB), 64, '10 ms and 10 Gbit/s')
  t.equal(blocks(50, 100 * MiB), 64, '50 ms and 100 MiB/s')
  t.equal(blocks(1, 1000 * MiB), 16, '1 ms and 10 Gbit/s')
  t.equal(blocks(0.1, 1000 * MiB), 1, 'a tenth of a millisecond')
  t.equal(blocks(10, 1.25e6), 0, '10 ms and 10 Mbit/s')
  t.equal(blocks(0, 0), 0, 'unknown')
  t.equal(tally.counters.overBudget, 0)
  const most = choices.map(choice => budgeted(choice).budget.bytesMax(path(10, 1000 * MiB)) / MiB)
  t.same(most, [0.5, 2, 4], 'one miss takes no more')
})

t.test('a path that readers fill carries nothing for nobody; one that its own neighbours fill does', async t => {
  const { budget, tally } = budgeted()
  const wait = 1 * MiB
  const at = (inFlightBytes: number) => budget.bytesMax({ bytesPerWait: wait, inFlightBytes })
  t.equal(at(64 * KiB), wait)
  t.equal(at(wait + 64 * KiB), wait, 'the neighbours of the miss before are on their way')
  t.equal(tally.counters.busy, 0)
  t.equal(at(2 * wait), 0, 'a storm')
  t.equal(at(64 * wait), 0)
  t.equal(tally.counters.busy, 2)
  t.ok(isBusy({ bytesPerWait: 0, inFlightBytes: 1 }))
  t.notOk(isBusy({ bytesPerWait: 0, inFlightBytes: 0 }))
})

t.test(
  'in a long run in which no neighbour is read, the start is spent, and a sixteenth of what readers miss',
  async t => {
    for (const choice of choices) {
      const { budget, accuracy, tally } = budgeted(choice)
      let missedBytes = 0
      for (let k = 0; k < 20_000; k++) {
        missedBytes += 64 * KiB
        budget.missed(64 * KiB)
        const bytes = budget.bytesMax({ bytesPerWait: 4 * MiB, inFlightBytes: 64 * KiB })
        budget.fetched(bytes)
        budget.unread(bytes)
      }
      const { fetchedBytes, unreadBytes } = accuracy.counters
      t.equal(unreadBytes, fetchedBytes)
      const most = readAroundChoices[choice].startBytes + missedBytes * readAroundEarnedShare
      t.ok(
        fetchedBytes <= most + readAroundMissShare * readAroundChoices[choice].startBytes,
        `${choice}: ${fetchedBytes} of ${most}`,
      )
      t.ok(fetchedBytes >= readAroundChoices[choice].startBytes, 'but it tries')
      t.equal(tally.counters.busy, 0)
    }
  },
)

t.test(`the unread share stays within the operator's, whatever share of neighbours is read (SEED=${seed})`, async t => {
  for (const choice of choices) {
    for (const readShare of [0.02, 0.1, 0.3, 0.5, 0.9]) {
      const random = seeded(seed)
      const { budget, accuracy } = budgeted(choice)
      const { startBytes, unreadShareMax } = readAroundChoices[choice]
      for (let k = 0; k < 5000; k++) {
        const blocks = Math.floor(budget.bytesMax(path(10, 300 * MiB)) / (64 * KiB))
        budget.fetched(blocks * 64 * KiB)
        for (let b = 0; b < blocks; b++) {
          if (random() < readShare) budget.read(64 * KiB)
          else budget.unread(64 * KiB)
        }
      }
      const { fetchedBytes, unreadBytes } = accuracy.counters
      const most = unreadShareMax * fetchedBytes + startBytes
      t.ok(unreadBytes <= most, `${choice}, ${readShare} read: ${unreadBytes} unread of ${fetchedBytes}`)
      if (1 - readShare < unreadShareMax) {
        t.ok(
          fetchedBytes > 5000 * 0.99 * Math.min(3, startBytes / (16 * MiB)) * MiB - 2 * MiB,
          'which holds nothing back',
        )
      }
    }
  }
})

t.test('the less credit is left, the less is fetched; what is read gives it back', async t => {
  const { budget, tally } = budgeted('fast')
  const { startBytes, unreadShareMax } = readAroundChoices.fast
  const worth = () => budget.bytesMax(path(10, 400 * MiB))
  t.equal(worth(), 4 * MiB)
  budget.fetched(startBytes / 2)
  t.equal(worth(), 2 * MiB)
  budget.fetched(startBytes / 2)
  t.equal(worth(), 0)
  t.equal(tally.counters.overBudget, 1)
  budget.read((startBytes / 2) * (1 - unreadShareMax))
  t.equal(Math.round(worth()), 2 * MiB)
})

t.test('good times are saved up for bad ones, but not without an end; a reload changes the bounds', async t => {
  const { budget, state } = budgeted('fast')
  budget.read(1024 * MiB)
  budget.fetched((readAroundCreditMax - 0.5) * readAroundChoices.fast.startBytes)
  const worth = () => budget.bytesMax(path(10, 400 * MiB)) / MiB
  t.equal(worth(), 2)
  state.limits = readAroundChoices.frugal
  t.equal(worth(), 0.5, 'half of a large start is more than a small one')
  budget.missed(16)
  budget.fetched(readAroundChoices.frugal.startBytes * 1.5)
  t.equal(worth(), 0.25, 'which is all that is left of it')
})

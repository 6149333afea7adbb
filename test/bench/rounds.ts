import t from 'tap'
import { Rounds } from '../../bench/compare/rounds.ts'

const roundsOf = (secondsMax: number) => new Rounds({ roundsMax: 3, secondsMax, stepsPerRound: 4 })

function begun(rounds: Rounds, secondsPerStep: number): number {
  for (let round = 0; ; round++) {
    if (!rounds.begins(round)) return round
    for (let step = 0; step < 4; step++) rounds.count(secondsPerStep)
  }
}

t.test('as many rounds as are wanted and fit, and always one', async t => {
  t.equal(begun(roundsOf(1000), 10), 3)
  t.equal(begun(roundsOf(120), 10), 3, 'just so')
  t.equal(begun(roundsOf(119), 10), 2)
  t.equal(begun(roundsOf(1), 10), 1)
})

t.test('what is left counts the rounds that fit', async t => {
  const rounds = roundsOf(100)
  t.equal(rounds.left, null)
  rounds.count(10)
  t.equal(rounds.fitting, 2)
  t.equal(rounds.left, 70)
})

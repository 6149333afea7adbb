/** Asking a worker whether it is there. */
import t from 'tap'
import { HangDetector } from '../../../src/daemon/supervisor/hang-detector.ts'

function setUp() {
  const seen = { asked: 0, alive: 0, hung: 0 }
  let nowMs = 0
  const pulse = new HangDetector({
    // Far away: the test beats.
    everyMs: 2 ** 30,
    hangMsMax: 100,
    ask: () => void seen.asked++,
    alive: () => void seen.alive++,
    onHung: () => void seen.hung++,
    now: () => nowMs,
  })
  const beatAt = (ms: number) => {
    nowMs = ms
    pulse.beat()
  }
  t.teardown(() => pulse.close())
  return { pulse, seen, beatAt }
}

t.test('all is well when the worker answers; one question at a time', async t => {
  const { pulse, seen, beatAt } = setUp()
  pulse.serving()
  beatAt(40)
  beatAt(50)
  t.same(seen, { asked: 1, alive: 0, hung: 0 })
  pulse.answered()
  pulse.answered()
  t.same(seen, { asked: 1, alive: 1, hung: 0 }, 'an answer to nothing is none')
  beatAt(60)
  t.equal(seen.asked, 2)
})

t.test('a worker that leaves a question unanswered for too long has hung', async t => {
  const { pulse, seen, beatAt } = setUp()
  pulse.serving()
  beatAt(0)
  beatAt(100)
  t.equal(seen.hung, 0)
  beatAt(101)
  t.same(seen, { asked: 1, alive: 0, hung: 1 })
})

t.test('while another worker is on its way all is well, and the old question is forgotten', async t => {
  const { pulse, seen, beatAt } = setUp()
  pulse.serving()
  beatAt(0)
  pulse.changing()
  beatAt(500)
  t.same(seen, { asked: 1, alive: 1, hung: 0 })
  pulse.serving()
  beatAt(510)
  t.equal(seen.asked, 2)
  beatAt(600)
  t.equal(seen.hung, 0)
})

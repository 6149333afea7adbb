/** Time of the next worker's start, and the end of a mount without one. */
import t from 'tap'
import { workerCrashLimitDefault, workerStableMsDefault } from '../../../src/daemon/config/limits.ts'
import { restartPauseMsMax, restartPauseMsMin, workerlessMsMax } from '../../../src/daemon/supervisor/limits.ts'
import { type Fate, RestartPolicy } from '../../../src/daemon/supervisor/restart-policy.ts'

function setUp(deathsMax = 3, wellMs = 60_000) {
  let nowMs = 1000
  const policy = new RestartPolicy({ deathsMax, wellMs }, nowMs)
  /** The next end, `afterMs` after the one before. */
  const end = (fate: Fate, servedMs = 0, afterMs = 1) => {
    nowMs += afterMs
    return policy.ended({ fate, how: 'so', servedMs }, nowMs)
  }
  return { policy, end }
}

t.test('the first end has no pause, each that follows twice that of the one before, up to the longest', async t => {
  const { end } = setUp()
  const pauses = Array.from({ length: 9 }, () => end('killed', 5).pauseMs)
  t.same(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000])
  t.equal(pauses[1], restartPauseMsMin)
  t.equal(pauses.at(-1), restartPauseMsMax)
  t.equal(end('killed', 59_999).pauseMs, 5000)
  t.equal(end('killed', 60_000).pauseMs, 0, 'it was well')
})

t.test('workers that crash lead to the bypass, once, and then to the question who has the mount open', async t => {
  const { policy, end } = setUp()
  t.match(end('crashed', 5), { beginsBypass: false, doubt: null })
  t.match(end('crashed', 5), { beginsBypass: false, doubt: null })
  t.equal(policy.bypass, null)
  t.match(end('crashed', 5), { beginsBypass: true, doubt: null, pauseMs: 0 })
  t.equal(policy.bypass, '3 workers have died in a row (so)')
  t.match(end('crashed', 5), { beginsBypass: false, doubt: null, pauseMs: 100 })
  t.match(end('crashed', 5), { doubt: null })
  const doubt = '3 workers have died in a row (so)'
  t.same(end('crashed', 5), { beginsBypass: false, doubt, isNewDoubt: true, pauseMs: restartPauseMsMax })
  t.match(end('crashed', 5), { doubt: /^4 workers/, isNewDoubt: false, pauseMs: restartPauseMsMax }, 'said once')
  t.match(end('crashed', 60_000), { doubt: null, pauseMs: 0 }, 'one was well')
  t.not(policy.bypass, null, 'the cache is still passed by')
  end('crashed', 5)
  t.match(end('crashed', 5), { isNewDoubt: true }, 'said anew')
  policy.forgive()
  t.equal(policy.bypass, null)
})

t.test('who is killed by others, and what cannot be started, says nothing of the cache', async t => {
  const { policy, end } = setUp(2)
  for (let k = 0; k < 100; k++) {
    t.match(end('killed', 5, 400), { beginsBypass: false, doubt: null })
  }
  for (let k = 0; k < 50; k++) {
    t.match(end('unstarted', 0, 1000), { beginsBypass: false, doubt: null })
  }
  t.equal(policy.bypass, null)
  end('crashed', 5)
  t.match(end('crashed', 5), { beginsBypass: true }, 'and hides no crash')
})

t.test('where none has served for a minute the same question comes', async t => {
  const { end } = setUp()
  end('killed', 5, 10)
  t.match(end('unstarted', 0, workerlessMsMax - 1), { doubt: null })
  t.match(end('unstarted', 0, 1), { doubt: 'no worker for 60 s (so)', isNewDoubt: true, pauseMs: restartPauseMsMax })
  t.match(end('unstarted'), { isNewDoubt: false })
  t.match(end('killed', 5), { doubt: null }, 'one has served')
})

t.test('what the configuration says counts from then on', async t => {
  const { policy, end } = setUp(workerCrashLimitDefault, workerStableMsDefault)
  policy.configure({ deathsMax: 1, wellMs: 10 })
  t.match(end('crashed', 5), { beginsBypass: true })
  t.match(end('crashed', 9), { doubt: /^1 workers/ })
})

/** A worker that hangs is killed, and logged only then: a log without a reader must not keep guests waiting. */
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { stopMsMax, workerHangMsMax } from '../../src/daemon/supervisor/limits.ts'
import { WorkerHandshake } from '../../src/daemon/supervisor/worker-handshake.ts'
import type { WorkerSupervisorContext } from '../../src/daemon/supervisor/worker-supervisor.ts'
import { WorkerSupervisor } from '../../src/daemon/supervisor/worker-supervisor.ts'
import { FakeWorker } from '../fixtures/fake-worker.ts'
import { until } from '../fixtures/until.ts'

/** A worker, what is logged of it, and in which order. */
function setUp() {
  const happened: string[] = []
  const worker = new FakeWorker()
  const { kill } = FakeWorker.prototype
  worker.kill = () => {
    happened.push('killed')
    kill.call(worker)
  }
  const logger = { ...silentLogger, error: (_facts: object, message: string) => void happened.push(message) }
  return { happened, worker, logger }
}

t.test('one whose event loop hangs', async t => {
  const { happened, worker, logger } = setUp()
  let nowMs = 0
  const parts: Partial<WorkerSupervisorContext> = {
    settings: () => ({}) as ReturnType<WorkerSupervisorContext['settings']>,
    logger,
    startWorker: () => worker,
    takeWork: () => [],
    serve: async () => {},
    onDeath: async () => false,
    onAlive: () => {},
    onVersion: () => {},
    onGivenUp: () => {},
    askMs: 1,
    now: () => nowMs,
  }
  const supervisor = new WorkerSupervisor(parts as WorkerSupervisorContext)
  await supervisor.start()
  await until(() => worker.heard.includes('ping'), 60_000, 'a question')
  nowMs = workerHangMsMax + 1
  await until(() => happened.includes('the worker has died'), 60_000, 'its end')
  t.same(happened.slice(0, 2), ['killed', 'the worker hung, and was killed'])
  await supervisor.stop()
})

t.test('one that does not stop', async t => {
  const { happened, worker, logger } = setUp()
  worker.answer = () => {}
  const settings = () => ({}) as ReturnType<WorkerSupervisorContext['settings']>
  const link = new WorkerHandshake(worker, { settings, logger, onMessage: () => {} })
  const clock = t.capture(globalThis, 'setTimeout', (then: () => void, ms: number) => {
    t.equal(ms, stopMsMax)
    queueMicrotask(then)
  })
  await link.end()
  t.equal(clock().length, 1)
  t.same(happened, ['killed', 'the worker did not stop, and was killed'])
})

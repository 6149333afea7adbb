/** A server that hangs is killed, and only then it is logged: a log that nobody reads must not keep guests waiting. */
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { serverHangMsMax, stopMsMax } from '../../src/daemon/supervisor/limits.ts'
import { WorkerHandshake } from '../../src/daemon/supervisor/worker-handshake.ts'
import { WorkerSupervisor } from '../../src/daemon/supervisor/worker-supervisor.ts'
import type { WorkerSupervisorContext } from '../../src/daemon/supervisor/worker-supervisor-context.ts'
import { FakeServer } from '../fixtures/fake-server.ts'
import { until } from '../fixtures/until.ts'

/** A server, what is logged of it, and in which order. */
function setUp() {
  const happened: string[] = []
  const server = new FakeServer()
  const { kill } = FakeServer.prototype
  server.kill = () => {
    happened.push('killed')
    kill.call(server)
  }
  const logger = { ...silentLogger, error: (_facts: object, message: string) => void happened.push(message) }
  return { happened, server, logger }
}

t.test('one whose event loop hangs', async t => {
  const { happened, server, logger } = setUp()
  let nowMs = 0
  const parts: Partial<WorkerSupervisorContext> = {
    settings: () => ({}) as ReturnType<WorkerSupervisorContext['settings']>,
    logger,
    startWorker: () => server,
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
  await until(() => server.heard.includes('ping'), 60_000, 'a question')
  nowMs = serverHangMsMax + 1
  await until(() => happened.includes('the server has died'), 60_000, 'its end')
  t.same(happened.slice(0, 2), ['killed', 'the server hung, and was killed'])
  await supervisor.stop()
})

t.test('one that does not stop', async t => {
  const { happened, server, logger } = setUp()
  server.answer = () => {}
  const settings = () => ({}) as ReturnType<WorkerSupervisorContext['settings']>
  const link = new WorkerHandshake(server, { settings, logger, onMessage: () => {} })
  const clock = t.capture(globalThis, 'setTimeout', (then: () => void, ms: number) => {
    t.equal(ms, stopMsMax)
    queueMicrotask(then)
  })
  await link.end()
  t.equal(clock().length, 1)
  t.same(happened, ['killed', 'the server did not stop, and was killed'])
})

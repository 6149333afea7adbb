/** A server that hangs is killed, and only then it is logged: a log that nobody reads must not keep guests waiting. */
import t from 'tap'
import { ServerLink } from '../../src/daemon/server-link.ts'
import { ServerSupervisor } from '../../src/daemon/server-supervisor.ts'
import type { SupervisorParts } from '../../src/daemon/supervisor-parts.ts'
import { stopMsMax } from '../../src/limits.ts'
import { silentLogger } from '../../src/logger.ts'
import { serverHangMsMax } from '../../src/process-limits.ts'
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
  const parts: Partial<SupervisorParts> = {
    settings: () => ({}) as ReturnType<SupervisorParts['settings']>,
    logger,
    startServer: () => server,
    takeWork: () => [],
    serve: async () => {},
    onDeath: async () => false,
    onAlive: () => {},
    onVersion: () => {},
    onGivenUp: () => {},
    askMs: 1,
    now: () => nowMs,
  }
  const supervisor = new ServerSupervisor(parts as SupervisorParts)
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
  const settings = () => ({}) as ReturnType<SupervisorParts['settings']>
  const link = new ServerLink(server, { settings, logger, onMessage: () => {} })
  const clock = t.capture(globalThis, 'setTimeout', (then: () => void, ms: number) => {
    t.equal(ms, stopMsMax)
    queueMicrotask(then)
  })
  await link.end()
  t.equal(clock().length, 1)
  t.same(happened, ['killed', 'the server did not stop, and was killed'])
})

/** Limits of the admin socket: connections at once, and the length of an answer. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchMetrics } from '../../src/admin/admin-client.ts'
import { AdminServer } from '../../src/admin/admin-server.ts'
import { adminAnswerBytesMax, adminConnectionsMax } from '../../src/admin/limits.ts'
import type { AdminHandlers } from '../../src/admin/routes.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { patienceMs, until } from '../fixtures/until.ts'

/** A path that is short enough. */
function socketIn(t: Pick<Test, 'teardown'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'a.sock')
}

t.test('one connection more than there may be is closed unanswered, and the next is heard', async t => {
  const path = socketIn(t)
  const handlers = { metrics: async () => 'a' } as unknown as AdminHandlers
  const { peerUid } = loadAddon()
  const server = await AdminServer.listen(path, handlers, { peerUid, uid: process.getuid!() })
  t.teardown(() => server.close())
  const sockets = Array.from({ length: adminConnectionsMax }, () => connect(path))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  const over = connect(path).resume()
  await until(() => over.destroyed, patienceMs, 'the end of one too many')
  t.ok(sockets.every(socket => !socket.destroyed))
  for (const socket of sockets) socket.destroy()
  await until(async () => (await fetchMetrics(path).catch(() => null)) === 'a', patienceMs, 'a turn')
})

t.test('an answer of one byte more than is accepted is an error, and no more of it is taken', async t => {
  const path = socketIn(t)
  let bytes = adminAnswerBytesMax
  const server = createServer((_, response) => void response.end(Buffer.alloc(bytes, 'x'))).listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  t.equal((await fetchMetrics(path))?.length, adminAnswerBytesMax)
  bytes++
  await t.rejects(fetchMetrics(path), { code: 'closed', message: /more than \d+ bytes/ })
})

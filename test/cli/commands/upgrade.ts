/** `parentfs upgrade`: which worker it takes for the next one. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  prepareRuntimeDirectory,
  runtimeDirectory,
  runtimeSurroundings,
  socketPath,
} from '../../../src/admin/socket-path.ts'
import { parentfs } from '../../fixtures/daemon.ts'

/** Statuses in the order of the questions; the last one stays. */
const statusOf = (version: string, pid: number, count: number, lastPauseMs: number) => ({
  ...{ version, pid },
  takeovers: { count, lastPauseMs, refusedUpgrade: null },
})

t.test('a worker that hears late of its own takeover is not taken for the next one', async t => {
  const mountpoint = realpathSync(mkdtempSync(join(tmpdir(), 'parentfs-test-')))
  t.teardown(() => rmSync(mountpoint, { recursive: true }))
  const directory = runtimeDirectory(runtimeSurroundings())
  prepareRuntimeDirectory(directory, runtimeSurroundings())
  const statuses = [
    statusOf('1', 10, 0, 0),
    statusOf('1', 10, 1, 17), // It has replaced a dead one.
    statusOf('2', 11, 0, 0), // The next one has heard nothing yet.
    statusOf('2', 11, 2, 23),
  ]
  const server = createServer((request, response) => {
    request.resume()
    const answer = request.url === '/status' ? statuses[0] : { version: '2' }
    if (request.url === '/status' && statuses.length > 1) statuses.shift()
    response.end(JSON.stringify(answer))
  })
  await new Promise<void>(resolve => server.listen(socketPath(mountpoint, directory), resolve))
  t.teardown(() => server.close())
  t.match(await parentfs('upgrade', mountpoint), {
    code: 0,
    stdout: /version 2 serves now, after 1; readers waited for 23 ms/,
  })
})

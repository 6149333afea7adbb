/** Clients of long work, while the workers that do it come and go. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { longResumesMax, nextSupervisorMsMax } from '../../src/admin/limits.ts'
import { requestLong } from '../../src/admin/progress-client.ts'
import { keptMark, lockPathBeside, successorWaitMs } from '../../src/admin/supervisor-presence.ts'
import { loadAddon } from '../../src/native/addon.ts'

const addon = loadAddon()
const evicted = { objects: 1, bytes: 2, leftBytes: 0 }

/** Answer of a worker to its n-th question. */
type Answer = (response: ServerResponse, nth: number) => void

const say = (response: ServerResponse, ...lines: readonly object[]) => {
  for (const line of lines) response.write(`${JSON.stringify(line)}\n`)
}
const progress = { type: 'progress', progress: { name: 'a', phase: 'x', doneBytes: 1, totalBytes: 2 } }
const done = (response: ServerResponse) => {
  say(response, { type: 'done', result: evicted })
  response.end()
}
/** As a process that dies. */
const die = (response: ServerResponse) => {
  say(response, progress)
  setImmediate(() => response.socket!.destroy())
}

/** A socket with a worker, and a supervisor's lock beside it until `supervisorGone`. */
async function setUp(t: Test, answer: Answer) {
  // Not t.testdir(): what it makes is too long for a socket.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const socket = join(directory, 'x.sock')
  const lock = addon.lockFile(lockPathBeside(socket))
  let [asked, isKept] = [0, true]
  const supervisorGone = () => {
    if (isKept) addon.closeFd(lock)
    isKept = false
  }
  t.teardown(supervisorGone)
  const server = createServer((request, response) => {
    request.resume()
    answer(response, ++asked)
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  t.teardown(() => server.close())
  const seen: unknown[] = []
  const onProgress = (each: unknown) => void seen.push(each)
  const ask = () => requestLong(socket, 'evict', { image: 'a' }, { onProgress })
  return { ask, seen, supervisorGone, asked: () => asked }
}

t.test('the successor of a worker that dies is asked for the same', async t => {
  const { ask, seen, asked } = await setUp(t, (response, nth) =>
    nth <= longResumesMax ? die(response) : done(response),
  )
  t.same(await ask(), evicted)
  t.equal(asked(), longResumesMax + 1)
  t.equal(seen.length, longResumesMax)
})

t.test('work that ends one worker after the other is given up', async t => {
  const { ask, asked } = await setUp(t, die)
  await t.rejects(ask(), { code: 'closed', message: /stopped before it was done: run the command again/ })
  t.equal(asked(), longResumesMax + 1)
})

t.test('without a supervisor nobody follows', async t => {
  const { ask, supervisorGone, asked } = await setUp(t, response => {
    supervisorGone()
    die(response)
  })
  await t.rejects(ask(), { code: 'closed', message: /run the command again/ })
  t.equal(asked(), 1)
})

t.test('who finds nobody waits for the next supervisor where one is to come', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const socket = join(directory, 'x.sock')
  const ask = () => requestLong(socket, 'evict', { image: 'a' }, { onProgress: () => {} })
  writeFileSync(lockPathBeside(socket), '')
  t.equal(successorWaitMs(socket), 0)
  t.equal(await ask(), null)
  t.equal(await fetchStatus(socket), null)
  writeFileSync(lockPathBeside(socket), keptMark)
  t.equal(successorWaitMs(socket), nextSupervisorMsMax)
  const asked = [ask(), fetchStatus(socket)]
  const server = createServer((request, response) => {
    request.resume()
    if (request.method === 'POST') done(response)
    else response.end('{"state":"ready"}')
  })
  t.teardown(() => server.close())
  await new Promise<void>(resolve => setTimeout(() => server.listen(socket, resolve), 100))
  t.same(await Promise.all(asked), [evicted, { state: 'ready' }])
})

t.test('what the work itself fails with is not asked for again', async t => {
  const { ask, asked } = await setUp(t, response => {
    say(response, { type: 'failed', code: 'not-found', message: 'no such image' })
    response.end()
  })
  await t.rejects(ask(), { code: 'not-found' })
  t.equal(asked(), 1)
})

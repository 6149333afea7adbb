/** The admin socket and its client. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, lstatSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import {
  fetchMetrics,
  fetchStatus,
  requestCapacity,
  requestExplanation,
  requestPin,
  requestReload,
  requestUnmount,
} from '../../src/admin/admin-client.ts'
import { AdminServer } from '../../src/admin/admin-server.ts'
import { noFleet } from '../../src/admin/fleet-handlers.ts'
import { noLibrbd } from '../../src/admin/librbd-report.ts'
import { adminDrainMsMax, adminMsMax, adminRequestBytesMax, socketPathBytesMax } from '../../src/admin/limits.ts'
import { requestLong } from '../../src/admin/progress-client.ts'
import type { AdminError, AdminHandlers, AdminOperations } from '../../src/admin/routes.ts'
import type { Status } from '../../src/admin/status.ts'
import { CacheError } from '../../src/base/errors.ts'
import type { VerifiedImage } from '../../src/cache/integrity/verify-image.ts'
import type { BlockMap } from '../../src/cache/operations/block-map.ts'
import type { ImageDescription } from '../../src/cache/operations/describe-image.ts'
import type { Explanation } from '../../src/cache/operations/explain-read.ts'
import type { PlanBasis } from '../../src/cache/plan/plan-basis.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { attempt } from '../fixtures/run.ts'
import { asStranger, noStranger } from '../fixtures/stranger.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const { peerUid } = loadAddon()
const uid = process.getuid!()
const admission = { peerUid, uid }

const status = { mountpoint: '/mnt', state: 'ready' } as Status

const found: VerifiedImage = {
  name: 'a',
  verifiedBytes: 2,
  corruptBlocks: 0,
  complete: true,
  digest: 'none',
  problem: null,
}

/** @param seen progress that its client has heard of */
function verifying(asked: unknown[], seen: ReadonlySet<number>): AdminOperations['verify'] {
  return async (image, { signal, onProgress }) => {
    if (image === 'missing') throw new CacheError('not-found', 'no such image')
    if (image === 'endless') {
      asked.push({ verify: image })
      await once(signal, 'abort')
      throw new CacheError('aborted', 'stopped')
    }
    onProgress({ name: 'a', phase: 'blocks', doneBytes: 1, totalBytes: 2 })
    // The same image is spoken of ten times a second at most.
    const isHeard = () => {
      onProgress({ name: 'a', phase: 'blocks', doneBytes: 2, totalBytes: 2 })
      return seen.has(2)
    }
    await until(isHeard, patienceMs, 'a line')
    return [found]
  }
}

/** Handlers that remember how they were called. */
function handlers(refusal: AdminError | null = null): AdminHandlers & {
  readonly forced: boolean[]
  readonly asked: unknown[]
  /** Progress that its client has heard of: the client adds it. */
  readonly seen: Set<number>
} {
  const asked: unknown[] = []
  const seen = new Set<number>()
  const forced: boolean[] = []
  const unmount = async (force: boolean) => {
    forced.push(force)
    return refusal
  }
  const setCapacity = async (capacityBytes: number) => {
    if (capacityBytes < 100) throw new CacheError('invalid-argument', 'too small')
    return capacityBytes - 1
  }
  const operations: AdminOperations = {
    verify: verifying(asked, seen),
    locations: async () => [],
    verifyLocations: async () => [],
    evict: async name => ({ name, objects: 1, bytes: 2, leftBytes: 3, leftBy: 'use' }),
    promote: async (name, ranges, { signal }) => {
      asked.push({ name, ranges })
      if (name === 'endless') await once(signal, 'abort')
      return { name, wantedBytes: 4, presentBytes: 1, promotedBytes: 3, complete: false }
    },
    pin: async name => void asked.push({ pin: name }),
    unpin: async name => {
      throw new CacheError('not-found', `${name} is not pinned`)
    },
    evictAll: async () => ({ images: 0, objects: 0, bytes: 0, held: [] }),
    drain: async () => ({ images: 0, objects: 0, bytes: 0, held: [] }),
    modes: () => [],
    setMode: async (scope, mode) => {
      asked.push({ scope, mode })
      return []
    },
    ...{ profile: async () => null, importProfile: async () => {} },
    planBasis: () => ({}) as PlanBasis,
    delta: async () => {
      throw new Error('not asked for here')
    },
    temperatures: async () => ({ origins: [], images: [] }),
    explain: async (name, offset, length) => ({ name, offset, length }) as Explanation,
    describe: name => ({ name }) as ImageDescription,
    blockMap: async (_name, { from, to }) => ({ from, to }) as BlockMap,
  }
  const reload = async () => ({ changed: [{ key: 'log.level', from: 'info', to: 'warn' }], waiting: [] })
  const upgrade = async () => ({ version: '2.0.0', refusal: null })
  const metrics = async () => 'parentfs_hits_total 1\n'
  const removeOrigin = async () => ({ images: 0, objects: 0, bytes: 0, held: [] })
  const web: AdminHandlers['web'] = async (path, _, response) => void response.end(`page ${path}`)
  const own = { metrics, unmount, setCapacity, reload, upgrade, moveCache: upgrade, removeOrigin }
  return { status: () => status, ...own, operations, web, fleet: noFleet, librbd: noLibrbd, forced, asked, seen }
}

t.test('status and unmount arrive, and the socket is its owner’s alone', async t => {
  const path = socketIn(t)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours, admission)
  t.teardown(() => server.close())
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(await fetchStatus(path), status)
  t.equal(await fetchMetrics(path), 'parentfs_hits_total 1\n')
  t.equal(await requestUnmount(path, true), null)
  t.equal(await requestUnmount(path, false), null)
  t.same(ours.forced, [true, false])
  t.match(await requestReload(path), { changed: [{ key: 'log.level' }], waiting: [] })
})

t.test('another capacity is told, and what was wrong with it', async t => {
  const path = socketIn(t)
  t.equal(await requestCapacity(path, 1000), null, 'nobody is there')
  const server = await AdminServer.listen(path, handlers(), admission)
  t.teardown(() => server.close())
  t.equal(await requestCapacity(path, 1000), 999)
  await t.rejects(requestCapacity(path, 99), { code: 'invalid-argument', message: 'too small' })
  await t.rejects(requestCapacity(path, Number.NaN), { code: 'invalid-argument' })
})

t.test('a verification tells how far it is and what it found, or why not', async t => {
  const path = socketIn(t)
  t.equal(await requestLong(path, 'verify', { image: null }, { onProgress: () => {} }), null, 'nobody is there')
  const ours = handlers()
  const server = await AdminServer.listen(path, ours, admission)
  t.teardown(() => server.close())
  // A second of silence is filled with what was said last.
  const onProgress = ({ doneBytes }: { doneBytes: number }) => void ours.seen.add(doneBytes)
  t.same(await requestLong(path, 'verify', { image: null }, { onProgress }), [found])
  t.same([...ours.seen], [1, 2])
  const missing = requestLong(path, 'verify', { image: 'missing' }, { onProgress })
  await t.rejects(missing, { code: 'not-found', message: 'no such image' })
  const endless = t.rejects(requestLong(path, 'verify', { image: 'endless' }, { onProgress }), { code: 'closed' })
  await until(() => ours.asked.length === 1, patienceMs, 'the request')
  const startedMs = performance.now()
  await server.close()
  await endless
  t.ok(performance.now() - startedMs < adminMsMax, 'a daemon that stops does not wait for it')
})

t.test('promotions, evictions, pins and explanations arrive as they were asked for', async t => {
  const path = socketIn(t)
  const onProgress = () => {}
  t.equal(await requestPin(path, 'a', true), false, 'nobody is there')
  t.equal(await requestExplanation(path, { image: 'a', offset: 0, length: 1 }), null)
  t.equal(await requestLong(path, 'evict', { image: 'a' }, { onProgress }), null)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours, admission)
  t.teardown(() => server.close())
  t.match(await requestLong(path, 'evict', { image: 'a' }, { onProgress }), { name: 'a', leftBytes: 3 })
  const ranges = [{ from: 1, to: 5 }]
  t.match(await requestLong(path, 'promote', { image: 'b', ranges }, { onProgress }), { promotedBytes: 3 })
  await requestLong(path, 'promote', { image: 'c', ranges: null }, { onProgress })
  t.equal(await requestPin(path, 'd', true), true)
  t.same(ours.asked, [{ name: 'b', ranges }, { name: 'c', ranges: null }, { pin: 'd' }])
  await t.rejects(requestPin(path, 'd', false), { code: 'not-found', message: 'd is not pinned' })
  t.match(await requestExplanation(path, { image: 'a', offset: 7, length: 9 }), { offset: 7, length: 9 })
  await t.rejects(requestExplanation(path, { image: 'a', offset: -1, length: 9 }), { code: 'invalid-argument' })
  await t.rejects(requestLong(path, 'evict', { image: '' }, { onProgress }), { code: 'invalid-argument' })
})

t.test('who leaves ends what was asked for', async t => {
  const path = socketIn(t)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours, admission)
  const left = new AbortController()
  const asked = { image: 'endless', ranges: null }
  const promoted = requestLong(path, 'promote', asked, { onProgress: () => {}, signal: left.signal })
  const outcome = t.rejects(promoted, { code: 'aborted' })
  await until(() => ours.asked.length === 1, patienceMs, 'the request')
  left.abort()
  await outcome
  const startedMs = performance.now()
  await server.close()
  t.ok(performance.now() - startedMs < adminMsMax, 'nothing is under way any more')
})

t.test('only root and the owner are heard, whatever the mode of the socket', async t => {
  const path = socketIn(t)
  const strangers = await AdminServer.listen(path, handlers(), { peerUid: () => 12345, uid })
  await t.rejects(fetchStatus(path), { code: 'access-denied' })
  await t.rejects(requestLong(path, 'evict', { image: 'a' }, { onProgress: () => {} }), { code: 'access-denied' })
  await strangers.close()
  const roots = await AdminServer.listen(path, handlers(), { peerUid: () => 0, uid: 12345 })
  t.same(await fetchStatus(path), status)
  await roots.close()
  if (noStranger) return t.pass('a real stranger', { skip: noStranger })
  const server = await AdminServer.listen(path, handlers(), admission)
  t.teardown(() => server.close())
  chmodSync(path, 0o666)
  chmodSync(dirname(path), 0o755)
  const asked = (await attempt(...asStranger(process.execPath, '-e', askScript, path))).stdout.toString()
  t.match(asked, /^403 .*"access-denied".*only root and user 0/s)
  t.match((await attempt(process.execPath, '-e', askScript, path)).stdout.toString(), /^200 /)
})

t.test('a refusal comes back with its code', async t => {
  const path = socketIn(t)
  const refusal = { code: 'mount-busy', message: 'in use by 1 (init)' }
  const server = await AdminServer.listen(path, handlers(refusal), admission)
  t.teardown(() => server.close())
  t.same(await requestUnmount(path, false), refusal)
})

t.test('nobody there is no error', async t => {
  const path = socketIn(t)
  t.equal(await fetchStatus(path), null)
  t.equal(await fetchMetrics(path), null)
  t.equal(await requestUnmount(path, false), 'absent')
})

t.test('a socket that a dead daemon left is replaced, one that answers is not', async t => {
  const path = socketIn(t)
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  t.ok(existsSync(path), 'the dead left a socket')
  t.equal(await fetchStatus(path), null)
  const server = await AdminServer.listen(path, handlers(), admission)
  t.teardown(() => server.close())
  t.same(await fetchStatus(path), status)
  await t.rejects(AdminServer.listen(path, handlers(), admission), { code: 'mount-busy' })
  t.same(await fetchStatus(path), status, 'the first still answers')
})

t.test('what is no socket of ours stays where it lies, and says what to do', async t => {
  const path = socketIn(t)
  const stays = async (what: string) => {
    const { ino } = lstatSync(path)
    const listening = AdminServer.listen(path, handlers(), admission)
    await t.rejects(listening, { code: 'access-denied', message: /remove it/ }, what)
    t.equal(lstatSync(path).ino, ino, what)
    rmSync(path)
  }
  writeFileSync(path, 'precious')
  await stays('a file')
  spawnSync('mkfifo', [path])
  await stays('a pipe')
  symlinkSync('/dev/null', path)
  await stays('a link')
  const other = await AdminServer.listen(path, handlers(), admission)
  const theirs = AdminServer.listen(path, handlers(), { peerUid, uid: uid + 1 })
  await t.rejects(theirs, { code: 'access-denied', message: /a socket of user/ })
  await other.close()
})

t.test('closing removes the socket and may be done twice', async t => {
  const path = socketIn(t)
  const server = await AdminServer.listen(path, handlers(), admission)
  await Promise.all([server.close(), server.close()])
  t.notOk(existsSync(path))
})

t.test('a stop waits neither for requests that do not come, nor long for answers that do not', async t => {
  const path = socketIn(t)
  let isAsked = false
  const reload = () => {
    isAsked = true
    return new Promise<never>(() => {})
  }
  const server = await AdminServer.listen(path, { ...handlers(), reload }, admission)
  const begun = ['', 'POST /unmount HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{']
  const silent = begun.map(() =>
    connect(path)
      .on('error', () => {})
      .resume(),
  )
  for (const [k, socket] of silent.entries()) {
    await once(socket, 'connect')
    socket.write(begun[k]!)
  }
  const asking = t.rejects(requestReload(path))
  await until(() => isAsked, patienceMs, 'the question')
  const ended = Promise.all(silent.map(socket => once(socket, 'close')))
  const startedMs = performance.now()
  const closing = server.close()
  await ended
  t.ok(performance.now() - startedMs < adminDrainMsMax * 0.9, 'connections without a request end at once')
  await Promise.all([closing, asking])
  t.ok(performance.now() - startedMs < adminMsMax / 2, 'and those without an answer soon')
})

t.test('what is not understood is answered as such, and nothing is unmounted', async t => {
  const path = socketIn(t)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours, admission)
  t.teardown(() => server.close())
  t.equal(await raw(path, 'GET', '/', ''), 404)
  t.equal(await raw(path, 'DELETE', '/status', ''), 404)
  t.equal(await raw(path, 'POST', '/unmount', '{'), 400)
  t.equal(await raw(path, 'POST', '/unmount', '{"force":"yes"}'), 400)
  t.equal(await raw(path, 'POST', '/unmount', `"${'x'.repeat(adminRequestBytesMax - 1)}"`), 400, 'a byte too long')
  t.equal(await raw(path, 'POST', '/unmount', 'null'), 200)
  t.same(ours.forced, [false])
})

t.test('a path too long for a socket is refused, not cut', async t => {
  const path = `${socketIn(t)}${'x'.repeat(socketPathBytesMax)}`.slice(0, socketPathBytesMax + 1)
  await t.rejects(AdminServer.listen(path, handlers(), admission), { code: 'invalid-argument' })
  const server = await AdminServer.listen(path.slice(0, -1), handlers(), admission)
  await server.close()
})

t.test('a daemon that says nonsense is an error, not a status', async t => {
  const path = socketIn(t)
  const server = createServer((_, response) => response.end('hello'))
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => void server.close())
  await t.rejects(fetchStatus(path), { code: 'closed' })
})

const askScript = `require('http').get({ socketPath: process.argv[1], path: '/status' }, answer => {
  process.stdout.write(answer.statusCode + ' ')
  answer.pipe(process.stdout)
})`

/** A path short enough for a socket: tap's own directories are not. */
function socketIn(test: Pick<typeof t, 'teardown'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-'))
  test.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'a.sock')
}

/** @returns the HTTP status */
function raw(socketPath: string, method: string, path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, response => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

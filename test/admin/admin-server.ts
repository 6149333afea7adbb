/** The admin socket and its client. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fetchStatus, requestCapacity, requestUnmount } from '../../src/admin/admin-client.ts'
import { type AdminError, type AdminHandlers, AdminServer } from '../../src/admin/admin-server.ts'
import type { Status } from '../../src/admin/status.ts'
import { requestVerification } from '../../src/admin/verification-client.ts'
import type { VerifiedImage } from '../../src/cache/verification.ts'
import { CacheError } from '../../src/errors.ts'
import { adminRequestBytesMax, socketPathBytesMax } from '../../src/limits.ts'

const status = { mountpoint: '/mnt', state: 'ready' } as Status

const found: VerifiedImage = {
  name: 'a',
  verifiedBytes: 2,
  corruptBlocks: 0,
  complete: true,
  digest: 'none',
  problem: null,
}

/** Handlers that remember how they were called. */
function handlers(refusal: AdminError | null = null): AdminHandlers & { readonly forced: boolean[] } {
  const forced: boolean[] = []
  const unmount = async (force: boolean) => {
    forced.push(force)
    return refusal
  }
  const setCapacity = async (capacityBytes: number) => {
    if (capacityBytes < 100) throw new CacheError('invalid-argument', 'too small')
    return capacityBytes - 1
  }
  const verify: AdminHandlers['verify'] = async (image, { signal, onProgress }) => {
    if (image === 'missing') throw new CacheError('not-found', 'no such image')
    if (image === 'endless') {
      await once(signal, 'abort')
      throw new CacheError('aborted', 'stopped')
    }
    onProgress({ name: 'a', phase: 'blocks', doneBytes: 1, totalBytes: 2 })
    // The same image is spoken of ten times a second at most.
    await new Promise(resolve => setTimeout(resolve, 150))
    onProgress({ name: 'a', phase: 'blocks', doneBytes: 2, totalBytes: 2 })
    return [found]
  }
  return { status: () => status, unmount, setCapacity, verify, forced }
}

t.test('status and unmount arrive, and the socket is its owner’s alone', async t => {
  const path = socketIn(t)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours)
  t.teardown(() => server.close())
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(await fetchStatus(path), status)
  t.equal(await requestUnmount(path, true), null)
  t.equal(await requestUnmount(path, false), null)
  t.same(ours.forced, [true, false])
})

t.test('another capacity is told, and what was wrong with it', async t => {
  const path = socketIn(t)
  t.equal(await requestCapacity(path, 1000), null, 'nobody is there')
  const server = await AdminServer.listen(path, handlers())
  t.teardown(() => server.close())
  t.equal(await requestCapacity(path, 1000), 999)
  await t.rejects(requestCapacity(path, 99), { code: 'invalid-argument', message: 'too small' })
  await t.rejects(requestCapacity(path, Number.NaN), { code: 'invalid-argument' })
})

t.test('a verification tells how far it is and what it found, or why not', async t => {
  const path = socketIn(t)
  t.equal(await requestVerification(path, null, () => {}), null, 'nobody is there')
  const server = await AdminServer.listen(path, handlers())
  t.teardown(() => server.close())
  const seen: number[] = []
  t.same(await requestVerification(path, null, ({ doneBytes }) => seen.push(doneBytes)), [found])
  t.same(seen, [1, 2])
  await t.rejects(
    requestVerification(path, 'missing', () => {}),
    { code: 'not-found', message: 'no such image' },
  )
  const endless = t.rejects(
    requestVerification(path, 'endless', () => {}),
    { code: 'aborted' },
  )
  const startedMs = performance.now()
  await new Promise(resolve => setTimeout(resolve, 50))
  await server.close()
  await endless
  t.ok(performance.now() - startedMs < 5000, 'a daemon that stops does not wait for it')
})

t.test('a refusal comes back with its code', async t => {
  const path = socketIn(t)
  const refusal = { code: 'mount-busy', message: 'in use by 1 (init)' }
  const server = await AdminServer.listen(path, handlers(refusal))
  t.teardown(() => server.close())
  t.same(await requestUnmount(path, false), refusal)
})

t.test('nobody there is no error', async t => {
  const path = socketIn(t)
  t.equal(await fetchStatus(path), null)
  t.equal(await requestUnmount(path, false), 'absent')
})

t.test('a socket that a dead daemon left is replaced, one that answers is not', async t => {
  const path = socketIn(t)
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  t.ok(existsSync(path), 'the dead left a socket')
  t.equal(await fetchStatus(path), null)
  const server = await AdminServer.listen(path, handlers())
  t.teardown(() => server.close())
  t.same(await fetchStatus(path), status)
  await t.rejects(AdminServer.listen(path, handlers()), { code: 'mount-busy' })
  t.same(await fetchStatus(path), status, 'the first still answers')
})

t.test('closing removes the socket and may be done twice', async t => {
  const path = socketIn(t)
  const server = await AdminServer.listen(path, handlers())
  await Promise.all([server.close(), server.close()])
  t.notOk(existsSync(path))
})

t.test('what is not understood is answered as such, and nothing is unmounted', async t => {
  const path = socketIn(t)
  const ours = handlers()
  const server = await AdminServer.listen(path, ours)
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
  await t.rejects(AdminServer.listen(path, handlers()), { code: 'invalid-argument' })
  const server = await AdminServer.listen(path.slice(0, -1), handlers())
  await server.close()
})

t.test('a daemon that says nonsense is an error, not a status', async t => {
  const path = socketIn(t)
  const server = createServer((_, response) => response.end('hello'))
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => void server.close())
  await t.rejects(fetchStatus(path), { code: 'closed' })
})

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

/**
 * Trying again, and when not to.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { pause } from '../../../src/async/pause.ts'
import { CacheError, type ErrorCode, errorCodes } from '../../../src/base/errors.ts'
import { RetryAfterError } from '../../../src/origin/contract/retry-after-error.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { type RetryOptions, RetryOrigin } from '../../../src/origin/wrappers/retry.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

originContract('a directory that is tried again', async directory => {
  return new RetryOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles))
})

const signal = new AbortController().signal
const bytes = Uint8Array.from({ length: 100 }, (_, k) => k)

/** Fails the first `failures` calls with `code`; pauses take no time and are noted. */
function failing(failures: number, code: ErrorCode, options: Partial<RetryOptions> = {}) {
  const pauses: number[] = []
  const inner = new ScriptedOrigin({ a: bytes }, call => {
    if (call <= failures) throw new CacheError(code, `call ${call} fails`)
  })
  const origin = new RetryOrigin(inner, { pause: async ms => void pauses.push(ms), random: () => 0.5, ...options })
  return { inner, origin, pauses }
}

t.test('a failure that may be gone the next time is tried again, up to the limit', async t => {
  for (const code of ['origin-unreachable', 'origin-timeout', 'origin-failed'] as const) {
    const twice = failing(2, code, { triesMax: 3 })
    t.equal((await twice.origin.lookup('a', { signal })).sizeBytes, 100)
    t.equal(twice.inner.calls, 3)
    const thrice = failing(3, code, { triesMax: 3 })
    await t.rejects(thrice.origin.lookup('a', { signal }), { code, message: 'call 3 fails' })
    t.equal(thrice.inner.calls, 3)
  }
})

t.test('any other failure is an answer and is not tried again', async t => {
  const retried = ['origin-unreachable', 'origin-timeout', 'origin-failed']
  for (const code of Object.keys(errorCodes).filter(each => !retried.includes(each)) as ErrorCode[]) {
    const { inner, origin } = failing(1, code)
    await t.rejects(origin.list({ signal }), { code })
    t.equal(inner.calls, 1, code)
  }
})

t.test('an optional call is not tried again', async t => {
  const { inner, origin } = failing(1, 'origin-failed')
  await t.rejects(origin.lookup('a', { signal, isOptional: true }), { code: 'origin-failed' })
  t.equal(inner.calls, 1)
})

t.test('a failure without a code is not tried again', async t => {
  const inner = new ScriptedOrigin({}, () => {
    throw new TypeError('a bug')
  })
  await t.rejects(new RetryOrigin(inner).list({ signal }), { message: 'a bug' })
  t.equal(inner.calls, 1)
})

t.test('pauses double up to a limit, and chance takes any share of them', async t => {
  const half = failing(6, 'origin-failed', { triesMax: 7, msMin: 100, msMax: 1000 })
  await half.origin.list({ signal })
  t.same(half.pauses, [50, 100, 200, 400, 500, 500])
  const none = failing(2, 'origin-failed', { random: () => 0 })
  await none.origin.list({ signal })
  t.same(none.pauses, [0, 0])
})

t.test('a read is tried for as long as its signal lets it, and what failed last is then the reason', async t => {
  const { inner, origin } = failing(20, 'origin-failed', { triesMax: 3 })
  await origin.read(scriptedImage('a', 100), 0, new Uint8Array(50), { signal })
  t.equal(inner.calls, 21)
  const forever = failing(Number.POSITIVE_INFINITY, 'origin-unreachable', { pause, msMin: 60_000, msMax: 60_000 })
  const controller = new AbortController()
  const read = forever.origin.read(scriptedImage('a', 100), 0, new Uint8Array(50), { signal: controller.signal })
  setImmediate(() => controller.abort())
  await t.rejects(read, { code: 'aborted', cause: { code: 'origin-unreachable' } })
})

t.test('nothing is tried again before the time that the origin has named', async t => {
  const pauses: number[] = []
  const inner = new ScriptedOrigin({ a: bytes }, call => {
    if (call <= 2) throw new RetryAfterError('busy', call === 1 ? 7_000 : 1)
  })
  const origin = new RetryOrigin(inner, { pause: async ms => void pauses.push(ms), random: () => 1, msMin: 100 })
  await origin.lookup('a', { signal })
  t.same(pauses, [7_000, 200])
})

t.test('a read that is tried again fills its whole target again', async t => {
  const { origin } = failing(2, 'origin-failed')
  const target = new Uint8Array(50)
  await origin.read(scriptedImage('a', 100), 20, target, { signal })
  t.same(target, bytes.subarray(20, 70))
})

t.test('a caller who leaves during a pause is let go, and nothing is tried again', async t => {
  const controller = new AbortController()
  const inner = new ScriptedOrigin({ a: bytes }, () => {
    setImmediate(() => controller.abort())
    throw new CacheError('origin-failed', 'always')
  })
  const origin = new RetryOrigin(inner, { msMin: 60_000, msMax: 60_000, random: () => 0.999 })
  await t.rejects(origin.lookup('a', { signal: controller.signal }), { code: 'aborted' })
  t.equal(inner.calls, 1)
})

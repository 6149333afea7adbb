/**
 * The deadline of a call as a whole.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { DeadlineOrigin } from '../../../src/origin/wrappers/deadline.ts'
import { RetryOrigin } from '../../../src/origin/wrappers/retry.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { startHttpOrigin } from '../../fixtures/http-origin.ts'
import { never, ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

originContract('a directory with a deadline', async directory => {
  return new DeadlineOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), 60_000)
})

const signal = new AbortController().signal

t.test('a call past its deadline throws origin-timeout', async t => {
  const origin = new DeadlineOrigin(new ScriptedOrigin({}, () => never), 50)
  await t.rejects(origin.list({ signal }), { code: 'origin-timeout' })
  await t.rejects(origin.lookup('a', { signal }), { code: 'origin-timeout' })
  await t.rejects(origin.read(scriptedImage('a', 9), 0, new Uint8Array(9), { signal }), { code: 'origin-timeout' })
})

t.test('a caller who leaves before the deadline gets aborted, not origin-timeout', async t => {
  const controller = new AbortController()
  const list = new DeadlineOrigin(new ScriptedOrigin({}, () => never), 60_000).list({ signal: controller.signal })
  controller.abort()
  await t.rejects(list, { code: 'aborted' })
})

t.test('a call past its deadline says what it waited for', async t => {
  for (const [code, expected] of [
    ['origin-away', 'origin-away'],
    ['origin-failed', 'origin-timeout'],
  ] as const) {
    const why = new CacheError(code, 'because of this')
    const inner = new ScriptedOrigin({})
    inner.lookup = async (_key, options) => {
      await new Promise<void>(resolve => options.signal.addEventListener('abort', () => resolve()))
      throw new CacheError('aborted', 'gone', { cause: why })
    }
    const lookup = new DeadlineOrigin(inner, 20).lookup('a', { signal })
    await t.rejects(lookup, { code: expected, message: /because of this/ })
  }
})

t.test('what the origin itself says comes through', async t => {
  await t.rejects(new DeadlineOrigin(new ScriptedOrigin({}), 60_000).lookup('a', { signal }), { code: 'not-found' })
})

t.test('an answer that drips byte by byte ends at the deadline, tries and all', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(10_000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const patient = new HttpOrigin(server.url)
  const origin = new DeadlineOrigin(new RetryOrigin(patient), 400)
  t.teardown(() => origin.close())
  const image = identify(await patient.lookup('a.img', { signal }))
  await server.fault({ kind: 'drip' })
  const startMs = performance.now()
  await t.rejects(origin.read(image, 0, new Uint8Array(10_000), { signal }), { code: 'origin-timeout' })
  const ms = performance.now() - startMs
  t.ok(ms >= 399 && ms < 30_000, `${ms} ms`)
})

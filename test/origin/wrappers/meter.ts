/**
 * Counting calls.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { CacheError, type ErrorCode } from '../../../src/base/errors.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { Meter, type MeterEvent, MeterOrigin } from '../../../src/origin/wrappers/meter.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

originContract('a metered directory', async directory => {
  return new MeterOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), new Meter())
})

const signal = new AbortController().signal

t.test('requests are counted when they begin, bytes when they have come, errors when they end so', async t => {
  const meter = new Meter()
  const inner = new ScriptedOrigin({ a: new Uint8Array(100) }, (call, operation) => {
    t.equal(meter.details().inFlight, 1)
    if (operation === 'read')
      t.same(meter.counters(), { requests: call, bytes: call === 3 ? 0 : 60, errors: 0, cancelled: 0 })
    if (call === 4) throw new CacheError('origin-failed', 'the fourth')
  })
  const origin = new MeterOrigin(inner, meter)
  const image = scriptedImage('a', 100)
  await origin.list({ signal })
  await origin.lookup('a', { signal })
  await origin.read(image, 0, new Uint8Array(60), { signal })
  await t.rejects(origin.read(image, 0, new Uint8Array(60), { signal }), { code: 'origin-failed' })
  t.same(meter.counters(), { requests: 4, bytes: 60, errors: 1, cancelled: 0 })
  const { inFlight, errorsByCode, readLatencies } = meter.details()
  t.equal(inFlight, 0)
  t.same([...errorsByCode], [['origin-failed', 1]])
  t.equal(
    readLatencies.counts.reduce((sum, count) => sum + count, 0),
    1,
    'the read that worked',
  )
})

t.test('a caller who left and a name that is not there are no errors of the origin', async t => {
  const meter = new Meter()
  const origin = new MeterOrigin(new ScriptedOrigin({}), meter)
  await t.rejects(origin.lookup('a', { signal }), { code: 'not-found' })
  await t.rejects(origin.list({ signal: AbortSignal.abort() }), { code: 'aborted' })
  t.same(meter.counters(), { requests: 2, bytes: 0, errors: 0, cancelled: 1 })
})

t.test('each call is told with what it was, its bytes, its time and its error', async t => {
  const events: MeterEvent[] = []
  let nowMs = 0
  const inner = new ScriptedOrigin({ a: new Uint8Array(100) }, () => {
    nowMs += 7
  })
  const origin = new MeterOrigin(inner, new Meter(event => events.push(event)), () => nowMs)
  await origin.list({ signal })
  await origin.read(scriptedImage('a', 100), 0, new Uint8Array(5), { signal })
  await t.rejects(origin.lookup('b', { signal }))
  t.match(events, [
    { operation: 'list', key: null, bytes: 0, ms: 7, error: null, reason: '' },
    { operation: 'read', key: 'a', bytes: 5, ms: 7, error: null, reason: '' },
    { operation: 'lookup', key: 'b', bytes: 0, ms: 7, error: 'not-found' },
  ])
})

t.test('the last lookup says whether images can be served, and why not', async t => {
  const meter = new Meter()
  const lookup = (error: ErrorCode | null, reason = '') =>
    meter.end({ operation: 'lookup', key: 'a', bytes: 0, ms: 1, error, reason })
  t.equal(meter.details().unsupported, '')
  lookup('origin-unsupported', 'no ranges')
  t.equal(meter.details().unsupported, 'no ranges')
  lookup('origin-timeout', 'late')
  meter.end({ operation: 'list', key: null, bytes: 0, ms: 1, error: null, reason: '' })
  t.equal(meter.details().unsupported, 'no ranges', 'neither a failure nor a listing says anything about that')
  lookup(null)
  t.equal(meter.details().unsupported, '')
})

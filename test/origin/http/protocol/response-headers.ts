/**
 * Headers: versions, lengths, ranges.
 */
import t from 'tap'
import { retryAfterMsMax } from '../../../../src/origin/http/protocol/limits.ts'
import {
  ageMsOf,
  compareValidator,
  conditionOf,
  contentLengthOf,
  contentRangeOf,
  isEncoded,
  isRange,
  modifiedMsOf,
  retryAfterMsOf,
  validatorOf,
} from '../../../../src/origin/http/protocol/response-headers.ts'

const date = 'Wed, 21 Oct 2015 07:28:00 GMT'
const later = 'Wed, 21 Oct 2015 07:28:01 GMT'

t.test('a strong ETag outranks a date, a weak one needs it', async t => {
  t.equal(validatorOf({ etag: '"a"', 'last-modified': date }), '"a"')
  t.equal(validatorOf({ etag: '""' }), '""')
  t.equal(validatorOf({ etag: 'W/"a"', 'last-modified': date }), `W/"a" ${date}`)
  t.equal(validatorOf({ 'last-modified': date }), date)
  t.equal(validatorOf({ etag: 'W/"a"' }), null)
  t.equal(validatorOf({}), null)
})

t.test('what is no ETag, no date, or comes twice, is no validator', async t => {
  for (const etag of ['a', '"a', 'a"', '"a"b"', '"a b"', '"a\n"', '', 'w/"a"']) {
    t.equal(validatorOf({ etag }), null, JSON.stringify(etag))
  }
  t.equal(validatorOf({ etag: ['"a"', '"b"'] }), null)
  t.equal(validatorOf({ 'last-modified': 'yesterday' }), null)
  t.equal(validatorOf({ 'last-modified': [date, later] }), null)
})

t.test('the condition is If-Match for a strong ETag and If-Unmodified-Since for all else', async t => {
  t.same(conditionOf('"a"'), { 'if-match': '"a"' })
  t.same(conditionOf(date), { 'if-unmodified-since': date })
  t.same(conditionOf(`W/"a" ${date}`), { 'if-unmodified-since': date })
})

t.test('an answer is of the same version, of another, or does not say', async t => {
  const strong = { etag: '"a"', 'last-modified': date }
  const weak = { etag: 'W/"a"', 'last-modified': date }
  t.equal(compareValidator(strong, '"a"'), 'same')
  t.equal(compareValidator({ etag: '"a"', 'last-modified': later }, '"a"'), 'same')
  t.equal(compareValidator(weak, '"a"'), 'other')
  t.equal(compareValidator({ etag: '"b"' }, '"a"'), 'other')
  t.equal(compareValidator({ 'last-modified': date }, '"a"'), 'missing')
  t.equal(compareValidator(strong, date), 'same')
  t.equal(compareValidator({ 'last-modified': later }, date), 'other')
  t.equal(compareValidator({ etag: '"a"' }, date), 'missing')
  t.equal(compareValidator(weak, `W/"a" ${date}`), 'same')
  t.equal(compareValidator({ ...weak, etag: 'W/"b"' }, `W/"a" ${date}`), 'other')
  t.equal(compareValidator({ ...weak, 'last-modified': later }, `W/"a" ${date}`), 'other')
  t.equal(compareValidator({ etag: 'W/"a"' }, `W/"a" ${date}`), 'missing')
  t.equal(compareValidator({ 'last-modified': date }, `W/"a" ${date}`), 'missing')
})

t.test('a Content-Range is understood exactly or not at all', async t => {
  t.same(contentRangeOf({ 'content-range': 'bytes 1-2/3' }), { first: 1, last: 2, sizeBytes: 3 })
  t.same(contentRangeOf({ 'content-range': 'bytes 1-2/*' }), { first: 1, last: 2, sizeBytes: null })
  for (const text of [
    '',
    'bytes 1-2',
    'bytes */3',
    'bytes -1-2/3',
    'items 1-2/3',
    'bytes 1-2/3, 4-5/6',
    'bytes 1-99999999999999999/3',
    'bytes 1-2/99999999999999999',
  ]) {
    t.equal(contentRangeOf({ 'content-range': text }), null, text)
  }
  t.equal(contentRangeOf({ 'content-range': ['bytes 1-2/3', 'bytes 1-2/3'] }), null)
})

t.test('a range is the one asked for when its bounds are, and its total is the size or untold', async t => {
  for (const [text, expected] of [
    ['bytes 1-2/9', true],
    ['BYTES 1-2/9', true],
    ['bytes 1-2/*', true],
    ['bytes 1-2/8', false],
    ['bytes 1-3/9', false],
    ['bytes 0-2/*', false],
    ['', false],
  ] as const) {
    t.equal(isRange({ 'content-range': text }, 1, 2, 9), expected, text)
  }
})

t.test('a length is a plain number that came once', async t => {
  t.equal(contentLengthOf({ 'content-length': '0' }), 0)
  t.equal(contentLengthOf({ 'content-length': '3298534883328' }), 3 * 1024 ** 4)
  for (const text of ['', '-1', '+1', '1.5', '0x10', '1e3', ' 1', '9007199254740993']) {
    t.equal(contentLengthOf({ 'content-length': text }), null, JSON.stringify(text))
  }
  t.equal(contentLengthOf({ 'content-length': ['1', '1'] }), null)
})

t.test('any encoding but identity is one', async t => {
  t.ok(isEncoded({ 'content-encoding': 'gzip' }))
  t.ok(isEncoded({ 'content-encoding': ['identity', 'br'] }))
  t.notOk(isEncoded({ 'content-encoding': 'identity' }))
  t.notOk(isEncoded({}))
})

t.test('the time of a change is in milliseconds, 0 where there is none', async t => {
  t.equal(modifiedMsOf({ 'last-modified': date }), Date.UTC(2015, 9, 21, 7, 28))
  t.equal(modifiedMsOf({}), 0)
  t.equal(modifiedMsOf({ 'last-modified': 'yesterday' }), 0)
})

t.test('Retry-After is seconds or a date, from now on, and no longer than we would wait', async t => {
  const nowMs = Date.UTC(2024, 0, 1, 12)
  const at = (ms: number) => new Date(nowMs + ms).toUTCString()
  const cases: [Record<string, string | string[]>, number | null][] = [
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': ' 7 ' }, 7_000],
    [{ 'retry-after': '3600' }, retryAfterMsMax],
    [{ 'retry-after': '9'.repeat(400) }, retryAfterMsMax],
    [{ 'retry-after': at(5_000) }, 5_000],
    [{ 'retry-after': at(-5_000) }, 0],
    [{ 'retry-after': at(retryAfterMsMax + 1_000) }, retryAfterMsMax],
    // The server's clock is an hour ahead.
    [{ 'retry-after': at(3_605_000), date: at(3_600_000) }, 5_000],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': ['1', '2'] }, null],
    [{}, null],
  ]
  for (const [headers, ms] of cases) t.equal(retryAfterMsOf(headers, nowMs), ms, JSON.stringify(headers))
})

t.test('the age of a version is told by the answer alone, and without its Date by our clock', async t => {
  t.equal(ageMsOf({ date: later, 'last-modified': date }, 0), 1000)
  t.equal(ageMsOf({ date, 'last-modified': later }, 0), -1000)
  for (const said of [{}, { date: 'today' }, { date: [date, later] }]) {
    t.equal(ageMsOf({ ...said, 'last-modified': date }, Date.parse(date) + 7), 7)
  }
  t.equal(ageMsOf({ date, etag: '"a"' }, 0), null)
})

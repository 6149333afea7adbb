/** Lifetime of a redirect, and the parts of it that are remembered. */
import t from 'tap'
import { redirectKeptMsMax, redirectsKeptMax } from '../../../../src/origin/http/protocol/limits.ts'
import { RememberedRedirects, redirectMsOf } from '../../../../src/origin/http/protocol/remembered-redirects.ts'

const nowMs = Date.UTC(2026, 10, 21, 12)
const plain = 'http://mirror.test/a'
const msOf = (headers: Record<string, string>, place = plain) => redirectMsOf(headers, new URL(place), nowMs)
const inMs = (ms: number) => new Date(nowMs + ms).toUTCString()

t.test('freshness is what headers say, less a margin', async t => {
  t.equal(msOf({}), 0)
  t.equal(msOf({ 'cache-control': 'public' }), 0)
  t.equal(msOf({ 'cache-control': 'public, max-age=600' }), 570_000)
  t.equal(msOf({ 'cache-control': 'max-age="600"', age: '500' }), 75_000)
  t.equal(msOf({ 'cache-control': 'max-age=40' }), 30_000)
  t.equal(msOf({ 'cache-control': 'max-age=0' }), 0)
  t.equal(msOf({ 'cache-control': 'max-age=600, no-store' }), 0)
  t.equal(msOf({ 'cache-control': 'No-Cache' }, `${plain}?X-Amz-Date=20261121T120000Z&X-Amz-Expires=900`), 0)
  t.equal(msOf({ 'cache-control': 'max-age=99999999' }), redirectKeptMsMax)
  t.equal(msOf({ expires: inMs(600_000) }), 570_000)
  t.equal(msOf({ expires: inMs(600_000), date: inMs(100_000) }), 470_000, "by the server's clock")
  t.equal(msOf({ expires: inMs(-1) }), 0)
  t.equal(msOf({ expires: '0' }), 0)
})

t.test('a signature ends when its URL says', async t => {
  const signed = {
    'X-Amz-Date=20261121T120000Z&X-Amz-Expires=900&X-Amz-Signature=x': 870_000,
    'x-amz-date=20261121T115500Z&x-amz-expires=900': 570_000,
    'X-Goog-Date=20261121T120000Z&X-Goog-Expires=900': 870_000,
    'X-Amz-Date=20261121T100000Z&X-Amz-Expires=900': 0,
    'X-Amz-Date=yesterday&X-Amz-Expires=900': 0,
    'X-Amz-Date=20261121T120000Z': 0,
    [`Expires=${nowMs / 1000 + 900}&Signature=x`]: 870_000,
    'Expires=soon': 0,
    'se=2026-11-21T12%3A15%3A00Z&sig=x': 870_000,
    'se=2026-11-21T12%3A15%3A00Z': 0,
  }
  for (const [query, ms] of Object.entries(signed)) t.equal(msOf({}, `${plain}?${query}`), ms, query)
  const both = `${plain}?X-Amz-Date=20261121T120000Z&X-Amz-Expires=900`
  t.equal(msOf({ 'cache-control': 'max-age=600' }, both), 570_000, 'the earlier end counts')
  t.equal(msOf({ 'cache-control': 'max-age=6000' }, both), 870_000)
})

t.test('a redirect is remembered until its time is over, and so many of them', async t => {
  let now = 0
  const redirects = new RememberedRedirects(() => now)
  const place = new URL(plain)
  const url = (k: number) => new URL(`http://home.test/${k}`)
  redirects.remember(url(0), place, 1000)
  t.equal(redirects.placeOf(url(0)), place)
  t.equal(redirects.placeOf(url(1)), null)
  now = 1000
  t.equal(redirects.placeOf(url(0)), null)
  t.equal(redirects.size, 0)
  redirects.remember(url(0), place, 0)
  t.equal(redirects.size, 0)
  for (let k = 0; k <= redirectsKeptMax; k++) redirects.remember(url(k), place, 1000)
  t.equal(redirects.size, redirectsKeptMax)
  t.equal(redirects.placeOf(url(0)), null, 'the oldest went')
  t.equal(redirects.placeOf(url(1)), place)
  redirects.forget(url(1))
  t.equal(redirects.placeOf(url(1)), null)
})

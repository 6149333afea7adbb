/**
 * URLs of web origins.
 */
import t from 'tap'
import { withoutCredentials } from '../../../../src/origin/contract/url-credentials.ts'
import { baseOf, httpPlaceOf } from '../../../../src/origin/http/protocol/http-url.ts'

/** Header of Basic authentication for a name and a password. Source: RFC 7617. */
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`

t.test('a base ends in a slash and has no credentials', async t => {
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['http://host', 'http://host/', null],
    ['http://host:8080/images', 'http://host:8080/images/', null],
    ['HTTPS://Host:443/images/', 'https://host/images/', null],
    ['http://me:secret@host/', 'http://host/', basic('me:secret')],
    ['http://me@host/', 'http://host/', basic('me:')],
    ['http://m%40e:p%3As%2Fs@host/', 'http://host/', basic('m@e:p:s/s')],
    ['http://me:100%@host/', 'http://host/', basic('me:100%')],
    ['http://ü:€@host/', 'http://host/', basic('ü:€')],
    ['http://[::1]:80/', 'http://[::1]/', null],
  ]
  for (const [url, href, authorization] of cases) {
    t.match(baseOf(url), { base: { href }, authorization }, url)
  }
})

t.test('what is no URL of a web server is an invalid argument, and no secret is repeated', async t => {
  for (const url of [
    '',
    'host',
    'ftp://me:secret@host/',
    'http://me:secret@',
    'http://me:secret@host/?a',
    'http://h/#b',
  ]) {
    t.throws(() => baseOf(url), { code: 'invalid-argument', message: /^(?!.*secret).*$/s }, url)
  }
})

t.test('messages show a place without what may be secret', async t => {
  t.equal(httpPlaceOf(new URL('http://me:secret@host/a?token=x#y')), 'http://host/a')
  t.equal(withoutCredentials('x://me:secret@ho st/a@b'), 'x://ho st/a@b')
})

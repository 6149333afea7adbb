/** URLs of image services. */
import t from 'tap'
import { glanceApiOf, glancePlaceOf, glanceUrlOf, isGlanceUrl } from '../../../src/origin/glance/glance-url.ts'

t.test('a URL has one way to be written', async t => {
  const pairs = [
    ['glance://Host:9292', 'glance://host:9292/'],
    ['GLANCE://host/image', 'glance://host/image/'],
    ['glance:///', 'glance:///'],
    ['glance://[::1]:9292/', 'glance://[::1]:9292/'],
  ] as const
  for (const [url, written] of pairs) {
    t.ok(isGlanceUrl(url))
    t.equal(glanceUrlOf(glancePlaceOf(url)), written)
  }
  for (const url of [
    'glance://user:key@host/',
    'glance://host/?x=y',
    'glance://host/#x',
    'glance:///path/',
    'glance:x',
  ]) {
    t.throws(() => glancePlaceOf(url), { code: 'invalid-argument' }, url)
  }
  t.throws(() => glancePlaceOf('glance://user:key@host/'), { message: /^(?!.*key)/ })
})

t.test('HTTP without TLS is spoken on loopback, or where it is asked for', async t => {
  const api = (url: string, isInsecure: boolean | null = null) => glanceApiOf(glancePlaceOf(url), isInsecure)?.href
  t.equal(api('glance://host/image'), 'https://host/image/')
  t.equal(api('glance://host', true), 'http://host/')
  t.equal(api('glance://127.0.0.1:9292'), 'http://127.0.0.1:9292/')
  t.equal(api('glance://[::1]:9292', false), 'https://[::1]:9292/')
  t.equal(api('glance:///'), undefined)
})

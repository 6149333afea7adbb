/** URLs of NBD servers. */
import t from 'tap'
import { isNbdUrl, nbdUrlOf, partsOfNbdUrl } from '../../../src/origin/nbd/nbd-url.ts'

t.test('URLs are taken apart, and each place is written in one way', async t => {
  const cases: [string, string, object][] = [
    ['nbd://Host', 'nbd://host/', { isTls: false, address: { host: 'host', port: 10809 }, exportName: null }],
    ['nbd://host:10809/', 'nbd://host/', { exportName: null }],
    ['NBDS://host:1/a', 'nbds://host:1/a', { isTls: true, address: { host: 'host', port: 1 }, exportName: 'a' }],
    ['nbd://[::1]:7/', 'nbd://[::1]:7/', { address: { host: '::1', port: 7 } }],
    ['nbd://host//disk', 'nbd://host//disk', { exportName: '/disk' }],
    ['nbd://host/hello%20w%c3%b6rld', 'nbd://host/hello%20w%C3%B6rld', { exportName: 'hello wörld' }],
    ['nbd+unix:///?socket=/run/a.sock', 'nbd+unix:///?socket=/run/a.sock', { address: { path: '/run/a.sock' } }],
    ['nbds+unix:///a%3Fb?socket=/a%20b', 'nbds+unix:///a%3Fb?socket=/a%20b', { isTls: true, exportName: 'a?b' }],
  ]
  for (const [url, written, expected] of cases) {
    const { place } = partsOfNbdUrl(url)
    t.match(place, expected, url)
    t.equal(nbdUrlOf(place), written)
    t.same(partsOfNbdUrl(written).place, place, 'what is written means the same')
    t.ok(isNbdUrl(url))
  }
})

t.test('what is said of TLS is no part of the place', async t => {
  const url = 'nbds://parents@host/a?tls-psk-file=/k&tls-certificates=/c&tls-hostname=h&tls-verify-peer=0'
  const { place, tls } = partsOfNbdUrl(url)
  t.equal(nbdUrlOf(place), 'nbds://host/a')
  t.same(tls, { username: 'parents', pskFile: '/k', certificates: '/c', hostname: 'h', verifyPeer: false })
  t.same(partsOfNbdUrl('nbds://host/').tls, {})
})

t.test('other URLs are invalid, and passwords are not repeated', async t => {
  const wrong = [
    'http://host/',
    'nbd:',
    'nbd:///',
    'nbd://host:0/',
    'nbd://host:99999/',
    'nbd://host/#a',
    'nbd://host/?socket=/a',
    'nbd://host/?color=red',
    'nbd://host/%ff',
    'nbd://host/a%00b',
    `nbd://host/${'a'.repeat(256)}`,
    'nbd://user@host/',
    'nbd://host/?tls-verify-peer=0',
    'nbds://user:secret@host/',
    'nbds://host/?tls-verify-peer=maybe',
    'nbds://host/?tls-psk-file=keys',
    'nbd+unix:///',
    'nbd+unix:///?socket=a.sock',
    'nbd+unix:///?socket=%00/abstract',
    'nbd+unix://host/?socket=/a',
    `nbd+unix:///?socket=/${'a'.repeat(107)}`,
  ]
  for (const url of wrong) {
    t.throws(() => partsOfNbdUrl(url), { code: 'invalid-argument', message: /^(?!.*secret)/ }, url)
  }
  t.notOk(isNbdUrl('nbdx://host/'))
})

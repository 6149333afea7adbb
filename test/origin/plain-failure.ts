/** Plain sentences about failures of origins: the mistake and its remedy, in one line. */
import t from 'tap'
import { CacheError, type ErrorCode } from '../../src/base/errors.ts'
import { plainEmptiness, plainFailure } from '../../src/origin/plain-failure.ts'

function failure(message: string, systemCode?: string, code: ErrorCode = 'origin-unreachable'): CacheError {
  const cause = systemCode === undefined ? undefined : Object.assign(new Error('deep'), { code: systemCode })
  return new CacheError(code, message, { cause: new Error('between', { cause }) })
}

t.test('a failure is named by the mistake behind it', async t => {
  const [web, tls] = ['http://host:81/x/', 'https://host/x/']
  const cases: readonly (readonly [string, CacheError, RegExp])[] = [
    [web, failure('x', 'ENOTFOUND'), /^origin http:\/\/host:81\/x\/: the host host is not known/],
    [web, failure('x', 'ECONNREFUSED'), /nothing listens on host:81/],
    [web, failure('x', 'EHOSTUNREACH'), /cannot be reached from here/],
    [tls, failure('x', 'CERT_HAS_EXPIRED'), /not valid at this time/],
    [tls, failure('x', 'ERR_TLS_CERT_ALTNAME_INVALID'), /not one for host/],
    [tls, failure('x', 'DEPTH_ZERO_SELF_SIGNED_CERT'), /origin\.ca/],
    [tls, failure('SSL routines: wrong version number'), /speaks no TLS/],
    [web, failure('proxy http://p: answered 407: it wants credentials', undefined, 'access-denied'), /proxyBasic/],
    [web, failure('proxy http://p: connect ECONNREFUSED', 'ECONNREFUSED'), /the proxy on the way/],
    [web, failure('a.raw: no ranges', undefined, 'origin-unsupported'), /such as nginx$/],
    [
      'nbd+unix:///?socket=/run/a b',
      failure('connect ENOENT /run/a b', 'ENOENT'),
      /: nothing listens on the socket \/run\/a b: check its path/,
    ],
    ['rbd://p/', failure('/etc/ceph/ceph.conf is not there: give its place with cephConf'), /with cephConf$/],
    ['nbd://host/', failure('a: no version', undefined, 'origin-unsupported'), /docs\/ORIGINS\.md says/],
    [web, failure('odd'), /^origin http:\/\/host:81\/x\/: odd: check the URL/],
  ]
  for (const [url, error, sentence] of cases) t.match(plainFailure(url, error), sentence)
  const loop = new CacheError('origin-failed', 'a\nb')
  loop.cause = loop
  t.equal(plainFailure(web, loop), `origin ${web}: a b: check the URL, and that it can be reached`)
  t.match(plainEmptiness(web, false), /no list of images/)
  t.match(plainEmptiness(web, true), /lists no images/)
})

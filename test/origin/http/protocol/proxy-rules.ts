/** The proxy that leads to a URL, as the environment says. */
import t from 'tap'
import { exceptions, proxiesIn, proxyAt } from '../../../../src/origin/http/protocol/proxy-rules.ts'

t.test('each scheme has a variable, in small letters first', async t => {
  const environment = { http_proxy: 'http://a.test:1', HTTP_PROXY: 'http://b.test:1', HTTPS_PROXY: 'c.test:2' }
  const proxyFor = proxiesIn(environment)
  t.equal(proxyFor(new URL('http://x.test/'))?.url.href, 'http://a.test:1/')
  t.equal(proxyFor(new URL('https://x.test/'))?.url.href, 'http://c.test:2/')
  t.equal(proxiesIn({ http_proxy: 'a.test' })(new URL('https://x.test/')), null)
  t.equal(proxiesIn({})(new URL('http://x.test/')), null)
  for (const place of ['http://localhost/', 'http://127.8.9.1:80/', 'http://[::1]:8080/']) {
    t.equal(proxyFor(new URL(place)), null, `${place} is never proxied because of the environment`)
  }
})

t.test('credentials in a variable are sent, and are in no URL', async t => {
  const proxy = proxiesIn({ http_proxy: 'http://me:p%40ss@a.test:1/' })(new URL('http://x.test/'))!
  t.equal(proxy.url.href, 'http://a.test:1/')
  t.same(await proxy.credentials?.headers(), { authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}` })
  t.equal(await proxy.credentials?.renew({}), false)
  t.equal(proxyAt('http://a.test').credentials, null)
})

t.test('no_proxy has names, suffixes, ports, addresses and networks', async t => {
  const matches = (list: string, host: string) => exceptions(list)(new URL(`http://${host}/`))
  const yes: [string, string][] = [
    ['*', 'x.test'],
    ['x.test', 'x.test'],
    ['x.test', 'a.x.test'],
    ['.x.test', 'a.x.test'],
    ['.x.test', 'x.test'],
    ['*.x.test', 'a.x.test'],
    ['X.Test', 'x.test'],
    ['a.test, x.test', 'x.test'],
    ['a.test x.test', 'x.test'],
    ['x.test', 'x.test:8080'],
    ['x.test:8080', 'x.test:8080'],
    ['x.test:80', 'x.test'],
    ['x.test.', 'x.test'],
    ['10.1.2.3', '10.1.2.3'],
    ['10.0.0.0/8', '10.1.2.3'],
    ['fd00::/8', '[fd00::1]'],
    ['fd00:0::1', '[fd00::1]'],
    ['[fd00::1]:81', '[fd00::1]:81'],
  ]
  const no: [string, string][] = [
    ['', 'x.test'],
    ['x.test', 'ax.test'],
    ['x.test', 'x.test.evil'],
    ['x.test:81', 'x.test'],
    ['10.0.0.0/8', '11.1.2.3'],
    ['10.0.0.0/8', 'ten.test'],
    ['10.0.0.0/99', '10.1.2.3'],
    ['1.2.3', '0.1.2.3'],
    ['[fd00::1]:81', '[fd00::1]'],
  ]
  for (const [list, host] of yes) t.ok(matches(list, host), `${list}: ${host}`)
  for (const [list, host] of no) t.notOk(matches(list, host), `${list}: ${host}`)
  t.equal(proxiesIn({ http_proxy: 'a.test', NO_PROXY: 'x.test' })(new URL('http://x.test/')), null)
})

t.test('what is no HTTP proxy is refused, without its credentials', async t => {
  for (const url of ['socks5://me:s3cret@a.test', 'ftp://a.test', 'http://', '://']) {
    t.throws(() => proxyAt(url), { code: 'invalid-argument', message: /not a proxy/ }, url)
  }
  try {
    proxyAt('socks5://me:s3cret@a.test')
  } catch (error) {
    t.notMatch((error as Error).message, /s3cret/)
  }
})

/** Settings of the page on a port. */
import t from 'tap'
import { isLoopbackHost, listenAddressOf, webSchema } from '../../../src/daemon/config/web-settings.ts'

const token = { file: '/etc/token' }
const tls = { certificate: '/etc/cert', key: '/etc/key' }

t.test('by default there is none, and what cannot be served safely is refused with the reason', async t => {
  t.match(webSchema.parse({}), { listen: null, certificate: null, key: null, hosts: [], allowActions: null })
  const cases: [object, RegExp | null][] = [
    [{ listen: '127.0.0.1:9180', token }, null],
    [{ listen: '[::1]:9180', token }, null],
    [{ listen: '192.0.2.1:9180', token, ...tls }, null],
    [{ listen: '0.0.0.0:9180', token, ...tls, hosts: ['images.example.com'] }, null],
    [{ listen: '127.0.0.1:9180' }, /not served without a token/],
    [{ listen: '192.0.2.1:9180', token }, /served over TLS alone/],
    [{ listen: '[2001:db8::1]:9180', token }, /served over TLS alone/],
    [{ listen: '127.0.0.1:9180', token, certificate: '/etc/cert' }, /certificate and key go together/],
    [{ listen: '127.0.0.1:9180', token: 'plain' }, /a secret is not written here/],
    [{ listen: 'localhost:9180', token }, /not an address with a port/],
    [{ listen: '127.0.0.1', token }, /not an address with a port/],
    [{ listen: '127.0.0.1:0', token }, /not an address with a port/],
    [{ listen: '127.0.0.1:65536', token }, /not an address with a port/],
    [{ listen: 9180, token }, /not an address/],
    [{ hosts: ['a.example:80'] }, /not the name of a host/],
    [{ hosts: Array.from({ length: 17 }, (_, k) => `host${k}`) }, /more than 16 names/],
    [{ hosts: Array.from({ length: 16 }, (_, k) => `host${k}`) }, null],
  ]
  for (const [settings, complaint] of cases) {
    const result = webSchema.safeParse(settings)
    if (complaint === null) t.ok(result.success, JSON.stringify(settings))
    else t.match(result.error?.issues.map(({ message }) => message).join('; '), complaint, JSON.stringify(settings))
  }
})

t.test('addresses and what stays on this machine', async t => {
  t.same(listenAddressOf('[::1]:80'), { host: '[::1]', port: 80 })
  t.equal(listenAddressOf('::1:80'), null)
  t.equal(listenAddressOf('1.2.3:80'), null)
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]']) t.ok(isLoopbackHost(host), host)
  for (const host of ['127.0.0.1.evil', 'localhost.evil', '128.0.0.1', '127.1', '']) t.notOk(isLoopbackHost(host), host)
})

/**
 * A web server behind TLS. Node fixes its own further authorities when it starts, so the tests that trust the server
 * run in a process of their own.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { originContract } from '../contract/origin.ts'
import { noCertificates } from '../fixtures/certificate.ts'
import { NotingReceiver, startHttps } from '../fixtures/https.ts'
import { identityIn } from '../fixtures/receiving.ts'

const trusted = process.env.PARENTFS_TEST_TLS

if (trusted !== undefined) {
  const [key, cert] = ['key.pem', 'cert.pem'].map(name => readFileSync(join(trusted, name), 'utf8'))
  const native = loadAddon().createReceiver()
  t.teardown(() => native.close())
  const noting = new NotingReceiver(native)
  for (const [by, receiver] of [
    ['by undici', null],
    ['natively', noting],
  ] as const) {
    originContract(`a web server behind TLS, whose ranges are received ${by}`, async (directory, t) => {
      const url = await startHttps(directory, { key: key!, cert: cert! }, t)
      return new HttpOrigin(url, { inPlaceBytesMin: 1, receiver })
    })
  }
  t.test('natively they were', async t => t.ok(noting.agreed.length > 0 && noting.agreed.every(Boolean)))
} else if (noCertificates) {
  t.test('a web server behind TLS', { skip: noCertificates }, async () => {})
} else {
  const home = t.testdir()
  const identity = identityIn(home, 'IP:127.0.0.1')

  const env = { ...process.env, PARENTFS_TEST_TLS: home, NODE_EXTRA_CA_CERTS: join(home, 'cert.pem') }
  t.spawn(process.execPath, [import.meta.filename], { env }, 'a server whose certificate is trusted')

  t.test('a server whose certificate is not trusted is origin-unreachable, and the message says why', async t => {
    const directory = t.testdir()
    writeFileSync(join(directory, 'a.img'), 'x')
    const origin = new HttpOrigin(await startHttps(directory, identity, t))
    t.teardown(() => origin.close())
    const lookup = origin.lookup('a.img', { signal: new AbortController().signal })
    await t.rejects(lookup, { code: 'origin-unreachable', message: /certificate/ })
  })

  t.test('an authority of our own is trusted besides the usual ones', async t => {
    const directory = t.testdir()
    writeFileSync(join(directory, 'a.img'), 'x')
    const origin = new HttpOrigin(await startHttps(directory, identity, t), { ca: identity.cert })
    t.teardown(() => origin.close())
    t.match(await origin.lookup('a.img', { signal: new AbortController().signal }), { sizeBytes: 1 })
  })
}

/**
 * A web server behind TLS. Which authorities Node trusts beside its own is fixed when it starts, so the tests that trust the
 * server run in a process of their own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HttpOrigin } from '../../src/origin/http.ts'
import { originContract } from '../contract/origin.ts'
import { HttpResponder } from '../fixtures/http-responder.ts'

const trusted = process.env.PARENTFS_TEST_TLS

/** Serve `directory` with the certificate in `home`. */
async function startHttps(directory: string, home: string, t: Test): Promise<string> {
  const responder = new HttpResponder({ directory })
  const [key, cert] = ['key.pem', 'cert.pem'].map(name => readFileSync(join(home, name), 'utf8'))
  const server = createServer({ key: key!, cert: cert! }, (request, response) => {
    responder.respond(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

if (trusted !== undefined) {
  originContract(
    'a web server behind TLS',
    async (directory, t) => new HttpOrigin(await startHttps(directory, trusted, t), { inPlaceBytesMin: 1 }),
  )
} else if (spawnSync('openssl', ['version']).status !== 0) {
  t.test('a web server behind TLS', { skip: 'openssl is not installed: no certificate can be made' }, async () => {})
} else {
  const home = t.testdir()
  const subject = ['-subj', '/CN=parentfs test', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', join(home, 'key.pem'), '-out', join(home, 'cert.pem')]
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...newKey, ...subject, ...files], { stdio: 'pipe' })

  const env = { ...process.env, PARENTFS_TEST_TLS: home, NODE_EXTRA_CA_CERTS: join(home, 'cert.pem') }
  t.spawn(process.execPath, [import.meta.filename], { env }, 'a server whose certificate is trusted')

  t.test('a server whose certificate is not trusted is origin-unreachable, and the message says why', async t => {
    const directory = t.testdir()
    writeFileSync(join(directory, 'a.img'), 'x')
    const origin = new HttpOrigin(await startHttps(directory, home, t))
    t.teardown(() => origin.close())
    const lookup = origin.lookup('a.img', { signal: new AbortController().signal })
    await t.rejects(lookup, { code: 'origin-unreachable', message: /certificate/ })
  })

  t.test('an authority of our own is trusted besides the usual ones', async t => {
    const directory = t.testdir()
    writeFileSync(join(directory, 'a.img'), 'x')
    const ca = readFileSync(join(home, 'cert.pem'), 'utf8')
    const origin = new HttpOrigin(await startHttps(directory, home, t), { ca })
    t.teardown(() => origin.close())
    t.match(await origin.lookup('a.img', { signal: new AbortController().signal }), { sizeBytes: 1 })
  })
}

/** Trust of native TLS, by the settings of Node.js: never more than that of Node.js. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { run } from '../../../fixtures/run.ts'

const module = join(import.meta.dirname, '../../../../src/origin/http/connections/tls-trust.js')
const authority = '-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n'

/** Trust in a process with this environment and these options. */
async function trustIn(environment: Readonly<Record<string, string>>, options: readonly string[], ca: string | null) {
  const told = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const code = `import(${JSON.stringify(module)}).then(({ tlsTrust }) => console.log(JSON.stringify(tlsTrust(${JSON.stringify(ca)}))))`
  const printed = await run('env', ...told, process.execPath, ...options, '-e', code)
  return JSON.parse(printed.toString()) as string | null
}

t.test('the usual authorities, and those of our own', async t => {
  const usual = await trustIn({}, [], null)
  t.match(usual, /BEGIN CERTIFICATE/)
  t.notMatch(usual, /ours/)
  t.match(await trustIn({}, [], authority), /^-----BEGIN CERTIFICATE-----\nours\n/)
})

t.test('authorities beside them count where Node counts them: without a ca', async t => {
  const path = join(t.testdir(), 'extra.pem')
  writeFileSync(path, authority)
  t.match(await trustIn({ NODE_EXTRA_CA_CERTS: path }, [], null), /ours/)
  t.notMatch(await trustIn({ NODE_EXTRA_CA_CERTS: path }, [], 'another'), /ours/)
  t.type(await trustIn({ NODE_EXTRA_CA_CERTS: '/nowhere' }, [], null), 'string')
})

t.test('where Node was told otherwise, TLS is its own', async t => {
  for (const option of ['--tls-min-v1.3', '--tls-max-v1.2', '--tls-cipher-list=ECDHE-RSA-AES256-GCM-SHA384']) {
    t.equal(await trustIn({}, [option], authority), null, option)
    t.equal(await trustIn({ NODE_OPTIONS: option }, [], null), null, `NODE_OPTIONS=${option}`)
  }
  t.equal(await trustIn({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], authority), null)
  t.equal(await trustIn({}, ['--use-openssl-ca'], null), null)
  t.equal(await trustIn({ NODE_OPTIONS: '--use-openssl-ca' }, [], null), null)
  t.type(
    await trustIn({}, ['--use-openssl-ca'], authority),
    'string',
    'with a ca, Node believes the usual ones and that',
  )
})

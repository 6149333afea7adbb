/** Logins at a scripted server: what is sent, where, and what of the answers is believed. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { httpOptionsDefault } from '../../../src/origin/http/http-client.ts'
import { OpenStackAccount } from '../../../src/origin/openstack/openstack-account.ts'
import type { AccountLogin } from '../../../src/origin/openstack/openstack-options.ts'
import { type Scripted, startScripted } from '../../fixtures/scripted-server.ts'

const { signal } = new AbortController()
const secret = 'do-not-tell'
const byDefault = { id: 'default' }

/** The password is in a file, where it may change. */
function passwordIn(t: Test, text = secret): { readonly file: string } {
  const file = join(t.testdir(), 'password')
  writeFileSync(file, text)
  chmodSync(file, 0o600)
  return { file }
}

function accountOf(t: Test, login: AccountLogin): OpenStackAccount {
  const endpoint = { interface: 'public', region: null }
  const account = new OpenStackAccount({ login, endpoint, logger: silentLogger }, httpOptionsDefault)
  t.teardown(() => account.close())
  return account
}

const ofPassword = (authUrl: string, password: { file: string }): AccountLogin => ({
  kind: 'password',
  authUrl,
  user: { name: 'me' },
  userDomain: byDefault,
  password,
  project: { name: 'mine' },
  projectDomain: byDefault,
})

const token = (expires: string, extra: object = {}) => ({
  token: { expires_at: expires, issued_at: '2026-01-01T00:00:00Z', catalog: catalog('http://store/v1/A'), ...extra },
})
const catalog = (url: string) => [{ type: 'object-store', endpoints: [{ interface: 'public', region_id: 'R', url }] }]
const letIn = (body: unknown, headers: Record<string, string> = {}): Scripted => ({
  status: 201,
  headers: { 'x-subject-token': 'a-token', ...headers },
  body: JSON.stringify(body),
})

t.test('a token of Keystone lasts as its own clock says', async t => {
  const server = await startScripted(t, () =>
    letIn(token('2026-01-01T01:00:00Z'), { date: 'Thu, 01 Jan 2026 00:20:00 GMT' }),
  )
  const account = accountOf(t, ofPassword(`http://${server.host}/v3/`, passwordIn(t)))
  t.equal(await account.endpointOf('object-store', signal), 'http://store/v1/A')
  const { headers, freshMs } = await account.authorizer!.authorize({ method: 'GET', url: new URL('http://store/') })
  t.same(headers, { 'x-auth-token': 'a-token' })
  t.ok(freshMs <= 39 * 60_000 && freshMs > 35 * 60_000, `${freshMs}: of 40 minutes all but one`)
  t.match(server.asked, [{ method: 'POST', url: { pathname: '/v3/auth/tokens' } }])
  t.equal(server.asked.length, 1)
  await t.rejects(account.endpointOf('image', signal), { code: 'access-denied' })
})

t.test('a refused password is read again, and the error has no secret in it', async t => {
  const password = passwordIn(t)
  const words = { error: { code: 401, message: 'The request you have made requires authentication.\n\u001b[2J' } }
  const server = await startScripted(t, () => {
    writeFileSync(password.file, 'another')
    return server.asked.length === 2 ? letIn(token('x')) : { status: 401, body: JSON.stringify(words) }
  })
  const account = accountOf(t, ofPassword(`http://${server.host}/v3`, password))
  t.equal(await account.endpointOf('object-store', signal), 'http://store/v1/A', 'with the new one')
  const stays = accountOf(t, ofPassword(`http://${server.host}/v3`, password))
  const error = await stays.endpointOf('object-store', signal).catch(error => error)
  t.match(error, { code: 'access-denied', message: /refuses the login: The request you have made/ })
  t.notMatch(error.message, /another|do-not-tell|\p{Cc}/u)
})

t.test('a login is not redirected', async t => {
  const far = await startScripted(t, () => letIn(token('x')))
  const server = await startScripted(t, () => ({
    status: 307,
    headers: { location: `http://${far.host}/v3/auth/tokens` },
  }))
  const account = accountOf(t, ofPassword(`http://${server.host}/v3`, passwordIn(t)))
  await t.rejects(account.endpointOf('object-store', signal), { code: 'origin-protocol' })
  t.equal(far.asked.length, 0)
})

t.test('the key of a first login goes to its own host alone', async t => {
  const answer = { 'x-auth-token': 'a-token', 'x-storage-url': 'http://store/v1/A', 'x-auth-token-expires': '60' }
  const far = await startScripted(t, () => ({ headers: answer }))
  const server = await startScripted(t, ({ url }) =>
    url.pathname === '/far' ? { status: 302, headers: { location: `http://${far.host}/` } } : { headers: answer },
  )
  const login = (path: string) =>
    accountOf(t, { kind: 'v1', authUrl: `http://${server.host}${path}`, username: 'a:b', password: passwordIn(t) })
  const account = login('/auth/v1.0')
  t.equal(await account.endpointOf('object-store', signal), 'http://store/v1/A')
  t.match(server.asked[0]!.headers, { 'x-auth-user': 'a:b', 'x-auth-key': secret })
  const { freshMs } = await account.authorizer!.authorize({ method: 'GET', url: new URL('http://store/') })
  t.ok(freshMs > 0 && freshMs <= 45_000, `${freshMs}`)
  await login('/far')
    .endpointOf('object-store', signal)
    .catch(() => {})
  for (const { headers } of far.asked) t.equal(headers['x-auth-key'], undefined)
})

t.test('answers that are none', async t => {
  const answers: [Scripted, string][] = [
    [{ status: 201, body: JSON.stringify(token('x')) }, 'origin-protocol'],
    [{ status: 201, headers: { 'x-subject-token': 'a' }, body: '{"token":' }, 'origin-protocol'],
    [{ status: 200, body: '<html>' }, 'origin-protocol'],
    [{ status: 403, body: '{}' }, 'access-denied'],
    [{ status: 500, body: 'x' }, 'origin-failed'],
    [{ status: 503, headers: { 'retry-after': '7' }, body: 'x' }, 'origin-failed'],
    [letIn(token('x', { catalog: 'none' })), 'access-denied'],
  ]
  for (const [answer, code] of answers) {
    const server = await startScripted(t, () => answer)
    const account = accountOf(t, ofPassword(`http://${server.host}/v3`, passwordIn(t)))
    const error = await account.endpointOf('object-store', signal).catch(error => error)
    t.match(error, { code }, JSON.stringify(answer))
    t.notMatch(`${error.message} ${error.cause}`, secret)
  }
})

t.test('a URL of a login that is none, or has a password in it', async t => {
  for (const authUrl of ['ftp://k/v3', 'nothing', `http://me:${secret}@k/v3`]) {
    t.throws(() => accountOf(t, ofPassword(authUrl, { file: '/x' })), {
      code: 'invalid-argument',
      message: /^(?!.*tell)/,
    })
  }
})

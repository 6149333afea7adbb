/** Tokens and logins for a registry, against servers that ask for them in every way. */
import t, { type Test } from 'tap'
import { isCacheError } from '../../../src/base/errors.ts'
import { HttpClient, httpOptionsDefault } from '../../../src/origin/http/http-client.ts'
import { RegistryAuthorizer } from '../../../src/origin/oci/registry-authorizer.ts'
import type { Login } from '../../../src/origin/oci/registry-login.ts'
import { type Asked, type Scripted, startScripted } from '../../fixtures/scripted-server.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const user: Login = { username: 'u', password: 'hunter2' }

/** A registry's client, and the clock of its authorizer. */
function client(t: Test, host: string, login: Login | null = null) {
  const clock = { ms: 0 }
  const renewals = { count: 0 }
  const kept = {
    current: async () => login,
    freshMs: 1000,
    renew: async () => void renewals.count++,
  }
  const home = new URL(`http://${host}/`)
  const authorizer = new RegistryAuthorizer(home, 'a/b', kept, httpOptionsDefault, () => clock.ms)
  const http = new HttpClient(home.origin, null, { ...httpOptionsDefault, authorizer })
  t.teardown(() => http.close())
  const ask = async (): Promise<number> =>
    await http.exchange(
      { method: 'GET', url: new URL('/v2/a/b/x', home), headers: {} },
      signal,
      async ({ status }) => status,
    )
  return { ask, clock, authorizer, renewals }
}

/** A registry that takes the tokens of `tokens`. @returns what both were asked */
async function withTokens(t: Test, give: (asked: Asked, count: number) => Scripted, scope = 'repository:a/b:pull') {
  let good = ''
  let count = 0
  const server = await startScripted(t, asked => {
    if (asked.url.pathname === '/token') {
      const given = give(asked, ++count)
      good = /"token":"([^"]*)"/.exec(String(given.body))?.[1] ?? good
      return given
    }
    if (asked.headers.authorization === `Bearer ${good}` && good !== '') return {}
    const realm = `http://${server.host}/token`
    return { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}",service="s",scope="${scope}"` } }
  })
  const tokens = () => server.asked.filter(({ url }) => url.pathname === '/token')
  const refuse = () => {
    good = ''
  }
  return { server, tokens, refuse }
}

t.test('a token is had once, for many requests, and again shortly before its end', async t => {
  const { server, tokens } = await withTokens(t, (_, count) => ({ body: `{"token":"t${count}","expires_in":300}` }))
  const { ask, clock, authorizer } = client(t, server.host)
  t.equal(await ask(), 200)
  t.same(await Promise.all(Array.from({ length: 20 }, ask)), Array(20).fill(200))
  t.equal(tokens().length, 1)
  const [asked] = tokens()
  t.same(
    [...asked!.url.searchParams],
    [
      ['service', 's'],
      ['scope', 'repository:a/b:pull'],
    ],
  )
  t.equal(asked!.headers.authorization, undefined)
  t.equal((await authorizer.authorize()).freshMs, 290_000)
  clock.ms = 290_000
  t.same(await Promise.all([ask(), ask(), ask()]), [200, 200, 200])
  await until(async () => (await authorizer.authorize()).freshMs === 290_000, 60_000, 'another token')
  t.equal(tokens().length, 2)
})

t.test('a token is sent until its end while its server does not give another one', async t => {
  let fails = false
  const give = () => (fails ? { status: 403, body: '' } : { body: '{"token":"t","expires_in":300}' })
  const { server, tokens } = await withTokens(t, give)
  const { ask, clock } = client(t, server.host)
  t.equal(await ask(), 200)
  fails = true
  clock.ms = 290_000
  t.same(await Promise.all([ask(), ask(), ask()]), [200, 200, 200])
  await until(() => tokens().length > 1, 60_000, 'it is asked for all the same')
  clock.ms = 300_000
  await t.rejects(ask(), { code: 'access-denied' })
})

t.test('a token without an end is good for a minute, one for a moment for three quarters of it', async t => {
  const bodies = ['{"access_token":"a","token":null}', '{"token":"b","expires_in":4}']
  const { server } = await withTokens(t, (_, count) => ({ body: bodies[count - 1]! }))
  const { authorizer, clock } = client(t, server.host)
  const asked = { method: 'GET', url: new URL('http://x/') } as const
  const refusal = { status: 401, headers: { 'www-authenticate': `Bearer realm="http://${server.host}/token"` } }
  t.ok(await authorizer.refused(asked, { headers: {}, query: '', freshMs: 0 }, refusal as never))
  t.equal((await authorizer.authorize()).freshMs, 50_000)
  clock.ms = 60_000
  t.equal((await authorizer.authorize()).freshMs, 3_000)
})

t.test('a token that is refused is had anew, but not again and again', async t => {
  const { server, tokens, refuse } = await withTokens(t, (_, count) => ({ body: `{"token":"t${count}"}` }))
  const { ask, clock, renewals } = client(t, server.host, user)
  t.equal(await ask(), 200)
  t.match(tokens()[0]!.headers, { authorization: `Basic ${Buffer.from('u:hunter2').toString('base64')}` })
  clock.ms = 10_000
  refuse()
  t.equal(await ask(), 200)
  t.same([tokens().length, renewals.count], [2, 1])
  refuse()
  t.equal(await ask(), 401, 'a moment after it was had')
  t.equal(tokens().length, 2)
})

t.test('an identity token is exchanged for others, and goes nowhere else', async t => {
  const { server, tokens } = await withTokens(t, () => ({ body: '{"access_token":"t","token":"t"}' }))
  const { ask } = client(t, server.host, { username: '<token>', password: 'hunter&2' })
  t.equal(await ask(), 200)
  const [asked] = tokens()
  t.match(asked, { method: 'POST', url: { search: '' } })
  t.same(Object.fromEntries(new URLSearchParams(asked!.body)), {
    grant_type: 'refresh_token',
    client_id: 'parentfs',
    service: 's',
    scope: 'repository:a/b:pull',
    refresh_token: 'hunter&2',
  })
  t.notOk(server.asked.some(({ headers }) => headers.authorization?.startsWith('Basic')))
  const basic = await startScripted(t, () => ({ status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }))
  t.equal(await client(t, basic.host, { username: '<token>', password: 'x' }).ask(), 401)
  t.notOk(basic.asked.some(({ headers }) => headers.authorization !== undefined))
})

t.test('a wider scope is asked for at once, beside ours', async t => {
  const wider = 'repository:a/b:metadata_read other:x:y'
  const { server, tokens, refuse } = await withTokens(t, (_, count) => ({ body: `{"token":"t${count}"}` }), wider)
  const { ask } = client(t, server.host)
  t.equal(await ask(), 200)
  t.same(tokens()[0]!.url.searchParams.getAll('scope'), ['repository:a/b:pull', 'repository:a/b:metadata_read'])
  refuse()
  t.equal(await ask(), 401)
})

t.test('a login goes to the registry itself where that wants it', async t => {
  const authorization = `Basic ${Buffer.from('u:hunter2').toString('base64')}`
  const server = await startScripted(t, ({ headers }) =>
    headers.authorization === authorization ? {} : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
  )
  const { ask } = client(t, server.host, user)
  t.equal(await ask(), 200)
  t.equal(server.asked[0]!.headers.authorization, undefined, 'not before it is asked for')
  t.equal(await ask(), 200)
  t.equal(server.asked.length, 3)
  t.equal(await client(t, server.host).ask(), 401)
  const wrong = client(t, server.host, { ...user, password: 'wrong' })
  t.equal(await wrong.ask(), 401)
  t.equal(await wrong.ask(), 401)
  t.equal(wrong.renewals.count, 1)
})

t.test('a login goes to no token server that others could read along with', async t => {
  for (const realm of [
    'http://auth.example/token',
    'http://169.254.169.254/latest',
    'ftp://127.0.0.1/x',
    'nonsense',
    'file:///etc/passwd',
  ]) {
    const headers = { 'www-authenticate': `Bearer realm="${realm}"` }
    const server = await startScripted(t, () => ({ status: 401, headers }))
    await t.rejects(client(t, server.host, user).ask(), { code: 'origin-protocol' }, realm)
  }
})

t.test('a registry that is elsewhere cannot lead a login to this machine', async t => {
  const lookup = (_: string, options: { all?: boolean }, done: (...facts: unknown[]) => void) =>
    options.all ? done(null, [{ address: '192.0.2.1', family: 4 }]) : done(null, '192.0.2.1', 4)
  const options = { ...httpOptionsDefault, lookup: lookup as never }
  const kept = { current: async () => user, freshMs: 1000, renew: async () => {} }
  const authorizer = new RegistryAuthorizer(new URL('https://r.example/'), 'a', kept, options)
  for (const [realm, message] of [
    ['https://127.0.0.1:1/token', /not followed/],
    ['http://127.0.0.1:1/token', /is not asked/],
    ['http://r.example/token', /is not asked/],
  ] as const) {
    const refusal = { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } }
    const asked = { method: 'GET', url: new URL('https://r.example/v2/') } as const
    const sent = { headers: {}, query: '', freshMs: 0 }
    await t.rejects(authorizer.refused(asked, sent, refusal as never), { code: 'origin-protocol', message }, realm)
  }
})

t.test('what a token server answers amiss is said without what it sent', async t => {
  for (const [answer, code] of [
    [{ status: 401, body: '{"errors":[{"code":"UNAUTHORIZED","detail":"hunter2"}]}' }, 'access-denied'],
    [{ status: 403 }, 'access-denied'],
    [{ status: 503, headers: { 'retry-after': '7' } }, 'origin-failed'],
    [{ status: 404 }, 'not-found'],
    [{ body: 'hunter2' }, 'origin-protocol'],
    [{ body: '{}' }, 'origin-protocol'],
    [{ body: '{"token":"hunter2\\nX: y"}' }, 'origin-protocol'],
    [{ body: `{"token":"${'h'.repeat(9000)}"}` }, 'origin-protocol'],
    [{ body: '{"token":"hunter2","expires_in":"soon"}' }, 'origin-protocol'],
    [{ body: '{"token":"hunter2","expires_in":-1}' }, 'origin-protocol'],
    [{ body: ' '.repeat(100_000) }, 'origin-protocol'],
    [{ status: 302, headers: { location: 'http://[::1]:1/' } }, 'origin-unreachable'],
  ] as const) {
    const { server } = await withTokens(t, () => answer)
    const error = await client(t, server.host, user)
      .ask()
      .then(
        () => null,
        error => error,
      )
    t.ok(isCacheError(error, code), `${JSON.stringify(answer).slice(0, 60)}: ${error?.code} ${error?.message}`)
    t.notMatch(error.message, /hunter2|hhhh/)
  }
})

t.test('a redirect of the token server gets no login', async t => {
  const elsewhere = await startScripted(t, () => ({ body: '{"token":"t"}' }))
  const { server } = await withTokens(t, () => ({ status: 307, headers: { location: `http://${elsewhere.host}/x` } }))
  t.equal(await client(t, server.host, user).ask(), 401)
  t.equal(elsewhere.asked[0]?.headers.authorization, undefined)
})

t.test('after its end it asks nobody', async t => {
  const { server, tokens } = await withTokens(t, () => ({ body: '{"token":"t"}' }))
  const { ask, authorizer } = client(t, server.host)
  authorizer.close()
  await t.rejects(ask(), { code: 'closed' })
  t.equal(tokens().length, 0)
})

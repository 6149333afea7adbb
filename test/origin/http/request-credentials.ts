/** Credentials of requests, and their changes. */
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { type CredentialSources, Credentials } from '../../../src/origin/http/request-credentials.ts'
import { HttpResponder } from '../../fixtures/http-responder.ts'

const signal = new AbortController().signal

function fileOf(t: Test, text: string): string {
  const file = join(t.testdir(), 'secret')
  writeFileSync(file, text)
  chmodSync(file, 0o600)
  return file
}

const credentialsOf = (sources: CredentialSources, now = () => 0) =>
  new Credentials(sources, { logger: silentLogger, now, environment: { USERS: 'pass', KEY: 'k1' } })

t.test('basic, bearer, and headers of any kind', async t => {
  t.same(await credentialsOf({ basic: { username: 'me', password: { env: 'USERS' } } }).headers(), {
    authorization: `Basic ${Buffer.from('me:pass').toString('base64')}`,
  })
  t.same(
    await credentialsOf({ bearer: { env: 'KEY' }, headers: { 'x-tenant': 'a', 'x-key': { env: 'KEY' } } }).headers(),
    {
      authorization: 'Bearer k1',
      'x-tenant': 'a',
      'x-key': 'k1',
    },
  )
  await t.rejects(credentialsOf({ bearer: { env: 'NOWHERE' } }).headers(), { code: 'access-denied' })
})

t.test('after a refusal secrets are read anew, at most once in a while', async t => {
  const file = fileOf(t, 'old')
  let ms = 0
  const credentials = credentialsOf({ bearer: { file } }, () => ms)
  const sent = await credentials.headers()
  t.equal(await credentials.renew(sent), false, 'nothing has changed')
  writeFileSync(file, 'new')
  t.equal(await credentials.renew(sent), false, 'a moment ago')
  ms = 5000
  t.equal(await credentials.renew(sent), true)
  t.equal(await credentials.renew(sent), true, 'who sent the old one too learns of it')
  t.equal(await credentials.renew(await credentials.headers()), false)
})

t.test('requests that are refused together wait for the same reading', async t => {
  const file = fileOf(t, 'old')
  const credentials = credentialsOf({ bearer: { file } })
  const sent = await credentials.authorize()
  writeFileSync(file, 'new')
  const request = { method: 'GET', url: new URL('http://127.0.0.1/a') } as const
  const heard = Array.from({ length: 3 }, () => credentials.refused(request, sent))
  t.same(await Promise.all(heard), [true, true, true])
})

/** A server that wants a token, and one without that it redirects `far.img` to. */
async function servers(t: Test) {
  const directory = t.testdir({ 'a.img': 'contents', 'far.img': 'far away' })
  const responder = new HttpResponder({ directory })
  const seen: { readonly far: boolean; readonly authorization: string | undefined; readonly key: unknown }[] = []
  const wanted = { token: 'one' }
  const listen = async (far: boolean, home: string | null) => {
    const server = createServer((request, response) => {
      const { authorization } = request.headers
      seen.push({ far, authorization, key: request.headers['x-key'] })
      if (home !== null && request.url === '/far.img')
        return void response.writeHead(302, { location: `${home}far.img` }).end()
      if (!far && authorization !== `Bearer ${wanted.token}`) return void response.writeHead(401).end()
      responder.respond(request, response).catch(() => response.destroy())
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }
  const far = await listen(true, null)
  return { near: await listen(false, far), seen, wanted }
}

t.test('an expired token is replaced between two requests, without an error', async t => {
  const { near, seen, wanted } = await servers(t)
  const file = join(t.testdirName, 'token')
  writeFileSync(file, 'one', { mode: 0o600 })
  const credentials = new Credentials({ bearer: { file } }, { logger: silentLogger })
  const origin = new HttpOrigin(near, { authorizer: credentials })
  t.teardown(() => origin.close())
  await origin.lookup('a.img', { signal })
  writeFileSync(file, 'two')
  wanted.token = 'two'
  t.match(await origin.lookup('a.img', { signal }), { sizeBytes: 8 })
  t.same(
    seen.map(({ authorization }) => authorization),
    ['Bearer one', 'Bearer one', 'Bearer two'],
  )
  wanted.token = 'three'
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'access-denied' })
  t.equal(seen.length, 4, 'what is the same is not sent again')
})

t.test('what a redirect leads to gets none of it', async t => {
  const { near, seen } = await servers(t)
  const file = join(t.testdirName, 'token')
  writeFileSync(file, 'one', { mode: 0o600 })
  const credentials = new Credentials({ bearer: { file }, headers: { 'x-key': { file } } }, { logger: silentLogger })
  const origin = new HttpOrigin(near, { authorizer: credentials })
  t.teardown(() => origin.close())
  await origin.lookup('far.img', { signal })
  t.match(seen, [
    { far: false, authorization: 'Bearer one', key: 'one' },
    { far: true, authorization: undefined, key: undefined },
  ])
})

t.test('a secret query goes with each request, is renewed when it is refused, and is in no message', async t => {
  const asked: string[] = []
  let wanted = 'sv=1&sig=one%2B'
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const isGood = request.url?.split('?')[1] === wanted
    response.writeHead(isGood ? 404 : 403, { 'content-length': 0 }).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const file = join(t.testdir({}), 'query')
  writeFileSync(file, '?sv=1&sig=one%2B\n', { mode: 0o600 })
  const authorizer = new Credentials({ query: { file } }, { logger: silentLogger })
  const origin = new HttpOrigin(`http://127.0.0.1:${(server.address() as AddressInfo).port}/d/`, { authorizer })
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('a b.img', { signal }), { code: 'not-found' })
  wanted = 'sv=1&sig=two'
  const refused = await origin.lookup('a b.img', { signal }).catch((error: Error) => error)
  t.match(refused, { code: 'access-denied' }, 'the file has the same one')
  t.notMatch((refused as Error).message, /sig|one/)
  writeFileSync(file, 'sv=1&sig=two')
  const later = new Credentials({ query: { file } }, { logger: silentLogger })
  t.match(await later.authorize(), { headers: {}, query: 'sv=1&sig=two' })
  t.same(asked.slice(0, 2), ['/d/a%20b.img?sv=1&sig=one%2B', '/d/a%20b.img?sv=1&sig=one%2B'])
  writeFileSync(file, 'two lines\nof text')
  await t.rejects(new Credentials({ query: { file } }, { logger: silentLogger }).authorize(), { code: 'access-denied' })
})

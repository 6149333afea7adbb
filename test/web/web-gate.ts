/** The gate before the page: foreign names and sites, sessions, links, logins, actions; and what every answer says. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { webConnectionsMax, webLoginFailuresMax, webLoginWindowMs, webRequestBytesMax } from '../../src/web/limits.ts'
import { Sessions } from '../../src/web/sessions.ts'
import { WebGate } from '../../src/web/web-gate.ts'
import { WebListener } from '../../src/web/web-listener.ts'
import { until } from '../fixtures/until.ts'
import { fakeSource, imageStatus, servePage } from '../fixtures/web-page.ts'

interface Asked {
  readonly status: number
  readonly text: string
  readonly headers: NodeJS.Dict<string | string[]>
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: object } = {},
  body = '',
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {} } = options
    const sent = request({ host: '127.0.0.1', port, path, method, headers: { ...headers }, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

const json = { 'content-type': 'application/json' }

function logIn(port: number, link: string): Promise<Asked> {
  const token = link.split('#token=')[1]
  return ask(port, '/api/session', { method: 'POST', headers: json }, JSON.stringify({ token }))
}

async function served(t: Test, allowsActions = false) {
  const { source, asked } = fakeSource([imageStatus('a.raw', 1024, 0)])
  const page = await servePage(t, source, allowsActions)
  const { token } = JSON.parse((await logIn(page.port, page.link())).text) as { token: string }
  return { ...page, asked, headers: { authorization: `Bearer ${token}` } }
}

t.test('a link is good once, and without a session there are only files', async t => {
  const { port, link, headers } = await served(t)
  t.match(await ask(port, '/'), { status: 200, text: /<title>parentfs/ })
  for (const path of ['/api/images', '/api/events', '/api/image?image=a.raw', '/api/map?image=a.raw', '/api/none']) {
    t.match(await ask(port, path), { status: 401 }, path)
    t.match(await ask(port, path, { headers: { authorization: 'Bearer x' } }), { status: 401 }, path)
    t.match(await ask(port, path, { headers: { cookie: headers.authorization } }), { status: 401 }, path)
  }
  t.match(await ask(port, '/api/images', { headers }), { status: 200, text: /a\.raw/ })
  const once = link()
  t.equal((await logIn(port, once)).status, 200)
  t.match(await logIn(port, once), { status: 401, text: /used already/ })
})

t.test('foreign names, sites and paths get nothing', async t => {
  const { port, headers } = await served(t, true)
  const cases: [string, object, number][] = [
    ['/', { host: 'evil.example' }, 421],
    ['/', { host: `127.0.0.1.evil.example:${port}` }, 421],
    ['/', { host: '127.0.0.1@evil.example' }, 421],
    ['/api/images', { ...headers, host: 'evil.example:80' }, 421],
    ['/api/images', { ...headers, origin: 'http://evil.example' }, 403],
    ['/api/images', { ...headers, origin: `http://127.0.0.1:${port + 1}` }, 403],
    ['/api/images', { ...headers, origin: 'null' }, 403],
    ['/api/images', { ...headers, 'sec-fetch-site': 'cross-site' }, 403],
    ['/api/images', { ...headers, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }, 403],
    ['/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, 200],
    ['/api/images', { ...headers, host: `localhost:${port}` }, 200],
    ['/api/images', { ...headers, host: '[::1]:9' }, 200],
    ['/api/images', { ...headers, origin: `http://127.0.0.1:${port}` }, 200],
    ['/../package.json', {}, 404],
    ['/%2e%2e/package.json', {}, 404],
    ['/views', {}, 404],
    [`/${'a'.repeat(9000)}`, {}, 400],
    ['/api/images?count=201', headers, 400],
    ['/api/images?count=-1', headers, 400],
    ['/api/images?order=__proto__', headers, 400],
    [`/api/images?search=${'a'.repeat(257)}`, headers, 400],
    ['/api/map?image=', headers, 400],
    ['/api/map?image=a.raw&from=-1', headers, 400],
  ]
  for (const [path, more, status] of cases) {
    const answer = await ask(port, path, { headers: more })
    t.equal(answer.status, status, `${path.slice(0, 40)} ${JSON.stringify(more).slice(0, 80)}`)
    t.match(answer.headers['content-security-policy'], /^default-src 'none';.*require-trusted-types-for 'script'/)
    t.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
})

t.test('actions need to be allowed, a session, JSON, and a short body', async t => {
  const [looking, acting] = [await served(t), await served(t, true)]
  const post = (port: number, headers: object, body: string, path = '/api/pin') =>
    ask(port, path, { method: 'POST', headers }, body)
  const body = '{"image":"a.raw"}'
  t.equal((await post(looking.port, { ...json, ...looking.headers }, body)).status, 403)
  t.equal((await post(acting.port, json, body)).status, 401)
  t.equal((await post(acting.port, acting.headers, body)).status, 400, 'a form of another site has no such type')
  t.equal((await post(acting.port, { ...acting.headers, 'content-type': 'text/plain' }, body)).status, 400)
  t.equal((await post(acting.port, { ...json, ...acting.headers }, '{"image":1}')).status, 400)
  t.equal((await post(acting.port, { ...json, ...acting.headers }, 'x')).status, 400)
  t.equal((await post(acting.port, { ...json, ...acting.headers }, body, '/api/unmount')).status, 404)
  const long = JSON.stringify({ image: 'a'.repeat(webRequestBytesMax) })
  t.equal((await post(acting.port, { ...json, ...acting.headers }, long).catch(() => ({ status: 400 }))).status, 400)
  t.same([looking.asked, acting.asked], [[], []])
  t.equal((await post(acting.port, { ...json, ...acting.headers }, body)).status, 200)
  t.same(acting.asked, ['pin a.raw'])
})

t.test('one wrong login more than may be, and even the right one waits until the minute is over', async t => {
  let nowMs = 0
  const sessions = new Sessions('a secret')
  const gate = new WebGate({
    ...{ handler: async () => {}, isOurHost: () => true, allowsActions: false, now: () => nowMs },
    ...{ login: token => token === 'right', sessions: () => sessions },
  })
  const handle = (...both: Parameters<typeof gate.handle>) => gate.handle(...both)
  const listener = await WebListener.listen({ host: '127.0.0.1', port: 0, tls: null, handle })
  t.teardown(() => listener.close())
  const log = async (token: unknown) =>
    (await ask(listener.port, '/api/session', { method: 'POST', headers: json }, JSON.stringify({ token }))).status
  for (let k = 0; k < webLoginFailuresMax; k++) t.equal(await log(k % 2 ? 'wrong' : 1), 401)
  t.equal(await log('right'), 429)
  nowMs += webLoginWindowMs
  t.equal(await log('right'), 200)
  t.equal(gate.refused, webLoginFailuresMax + 1)
})

t.test('one connection more than may be is closed, and counted', async t => {
  const handle = async () => {}
  const listener = await WebListener.listen({ host: '127.0.0.1', port: 0, tls: null, handle })
  t.teardown(() => listener.close())
  const open = () => connect(listener.port, '127.0.0.1').on('error', () => {})
  const sockets = Array.from({ length: webConnectionsMax }, open)
  t.teardown(() => sockets.forEach(socket => void socket.destroy()))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  const over = open().resume()
  await until(() => over.destroyed, 10_000, 'the end of one too many')
  t.equal(listener.refused, 1)
  t.ok(sockets.every(socket => !socket.destroyed))
})

t.test('an address that cannot be had is an error with what it is', async t => {
  const { port } = await served(t)
  const taken = WebListener.listen({ host: '127.0.0.1', port, tls: null, handle: async () => {} })
  await t.rejects(taken, { code: 'invalid-argument', message: /EADDRINUSE/ })
  const tls = { certificate: 'none', key: 'none' }
  const broken = WebListener.listen({ host: '127.0.0.1', port: 0, tls, handle: async () => {} })
  await t.rejects(broken, { code: 'invalid-argument' })
})

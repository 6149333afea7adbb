/** Tokens: one login for all, renewed in time and on 401, and failures that do not follow each other. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { loginPauseMs } from '../../../src/origin/openstack/limits.ts'
import { TokenAuthorizer } from '../../../src/origin/openstack/token-authorizer.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const request = { method: 'GET', url: new URL('http://swift/') } as const

/** An authorizer with a clock of its own; its logins fail while `failing`. */
function subject(lifetimeMs = 3_600_000) {
  const state = { ms: 0, logins: 0, failing: false, logger: keepingLogger() }
  const logIn = async () => {
    state.logins++
    if (state.failing) throw new CacheError('origin-unreachable', `no Keystone (${state.logins})`)
    return { token: `token ${state.logins}`, lifetimeMs, catalog: [] }
  }
  return { state, authorizer: new TokenAuthorizer(logIn, { logger: state.logger, now: () => state.ms }) }
}

const tokenOf = async (authorizer: TokenAuthorizer) => (await authorizer.authorize()).headers['x-auth-token']

t.test('all who wait share one login, and the token is sent until shortly before its end', async t => {
  const { state, authorizer } = subject()
  const first = await Promise.all(Array.from({ length: 50 }, () => authorizer.authorize()))
  t.equal(state.logins, 1)
  t.ok(first.every(({ headers, freshMs }) => headers['x-auth-token'] === 'token 1' && freshMs === 3_540_000))
  state.ms = 3_539_999
  t.equal(await tokenOf(authorizer), 'token 1')
  state.ms = 3_540_000
  t.equal(await tokenOf(authorizer), 'token 2', 'a minute before its end')
})

t.test('short tokens are renewed after three quarters of their time', async t => {
  const { state, authorizer } = subject(8_000)
  await authorizer.authorize()
  state.ms = 5_999
  t.equal(await tokenOf(authorizer), 'token 1')
  state.ms = 6_000
  t.equal(await tokenOf(authorizer), 'token 2')
})

t.test('a refused token is renewed, once for all and not again at once', async t => {
  const { state, authorizer } = subject()
  const sent = await authorizer.authorize()
  t.equal(await authorizer.refused(request, sent), false, 'a moment after the login')
  t.equal(state.logins, 1)
  state.ms = loginPauseMs
  const renewed = await Promise.all([1, 2, 3].map(() => authorizer.refused(request, sent)))
  t.same(renewed, [true, true, true])
  t.equal(state.logins, 2)
  t.equal(await authorizer.refused(request, sent), true, 'the token of before: there is another')
  t.equal(await authorizer.refused(request, await authorizer.authorize()), false)
  t.equal(state.logins, 2)
})

t.test('while the login fails, the token is used until its end; then the failure is told', async t => {
  const { state, authorizer } = subject()
  await authorizer.authorize()
  state.failing = true
  state.ms = 3_545_000
  t.equal(await tokenOf(authorizer), 'token 1')
  t.equal(await tokenOf(authorizer), 'token 1')
  t.equal(state.logins, 2, 'not tried again at once')
  t.match(state.logger.lines, [{ level: 'warn', message: /no Keystone \(2\); the token of before/ }])
  state.ms = 3_600_001
  await t.rejects(authorizer.authorize(), { code: 'origin-unreachable' })
  await t.rejects(authorizer.authorize(), { code: 'origin-unreachable', message: 'no Keystone (3)' }, 'the same one')
  t.equal(state.logins, 3)
  state.failing = false
  state.ms += loginPauseMs
  t.equal(await tokenOf(authorizer), 'token 4')
})

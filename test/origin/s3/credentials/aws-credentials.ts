/** Renewal of AWS keys, with a clock that the test turns. */
import t from 'tap'
import { CacheError } from '../../../../src/base/errors.ts'
import { AwsCredentials } from '../../../../src/origin/s3/credentials/aws-credentials.ts'
import { type AwsKeys, type KeySource, keysInJson } from '../../../../src/origin/s3/credentials/aws-keys.ts'
import { keysMarginMsMax, keysRenewMs } from '../../../../src/origin/s3/credentials/limits.ts'
import { keepingLogger } from '../../../fixtures/keeping-logger.ts'
import { keysText } from '../../../fixtures/key-service.ts'

const hour = 3_600_000

function made(asks: (isAgain: boolean, nowMs: number) => AwsKeys | null | Error) {
  const world = { nowMs: 1_000_000_000_000, asked: 0 }
  const logger = keepingLogger()
  const source: KeySource = {
    name: 'the test',
    keys: async isAgain => {
      world.asked++
      const given = asks(isAgain, world.nowMs)
      if (given instanceof Error) throw given
      return given
    },
  }
  return { world, logger, credentials: new AwsCredentials([source], { logger, now: () => world.nowMs }) }
}

const keysUntil = (id: string, expiresMs: number | null): AwsKeys => ({
  accessKeyId: id,
  secretAccessKey: 'hush',
  sessionToken: null,
  expiresMs,
})

t.test('keys without an end are asked for once, by all who want them', async t => {
  const { world, credentials } = made(() => keysUntil('a', null))
  const got = await Promise.all([credentials.keys(), credentials.keys(), credentials.keys()])
  t.same(
    got.map(({ accessKeyId }) => accessKeyId),
    ['a', 'a', 'a'],
  )
  world.nowMs += 1000 * hour
  await credentials.keys()
  t.equal(world.asked, 1)
  t.equal(credentials.freshMs, Number.POSITIVE_INFINITY)
})

t.test('keys that end are renewed before, while the old ones go on', async t => {
  let count = 0
  const { world, credentials } = made((_, nowMs) => keysUntil(`k${++count}`, nowMs + hour))
  t.equal((await credentials.keys()).accessKeyId, 'k1')
  t.equal(credentials.freshMs, hour - keysMarginMsMax)
  world.nowMs += hour - keysMarginMsMax - 1
  t.equal((await credentials.keys()).accessKeyId, 'k1')
  t.equal(world.asked, 1)
  world.nowMs += 1
  t.equal((await credentials.keys()).accessKeyId, 'k1', 'nobody waits')
  t.equal((await credentials.renew()).accessKeyId, 'k2')
  t.equal(world.asked, 2)
})

t.test('a renewal that fails leaves the old keys, is not repeated at once, and is said once', async t => {
  let isBroken = false
  const { world, logger, credentials } = made((_, nowMs) =>
    isBroken ? new CacheError('origin-timeout', 'no answer') : keysUntil('a', nowMs + hour),
  )
  const keys = await credentials.keys()
  isBroken = true
  world.nowMs += hour - 1000
  for (let k = 0; k < 5; k++) t.equal(await credentials.renew(), keys)
  t.equal(world.asked, 2)
  world.nowMs += keysRenewMs
  t.equal(await credentials.keys(), keys, 'the server is to judge')
  t.equal(world.asked, 3)
  t.match(
    logger.lines.map(({ message }) => message),
    [/from the test are not usable: no answer; the AWS keys of before/],
  )
  isBroken = false
  world.nowMs += keysRenewMs
  t.not(await credentials.keys(), null)
})

t.test('a server that refuses the keys has them asked for anew, once in a while', async t => {
  const again: boolean[] = []
  const { world, credentials } = made(isAgain => {
    again.push(isAgain)
    return keysUntil('a', null)
  })
  const keys = await credentials.keys()
  t.equal(await credentials.renew(), keys, 'that was a moment ago')
  world.nowMs += keysRenewMs
  t.equal(await credentials.renew(), keys, 'the same values are the same keys')
  t.same(again, [false, true])
})

t.test('no keys at all is an error with its code, kept for a moment', async t => {
  const { world, credentials } = made(() => null)
  for (let k = 0; k < 3; k++)
    await t.rejects(credentials.keys(), { code: 'access-denied', message: /none in the test;/ })
  t.equal(world.asked, 1)
  const failing = made(() => new CacheError('origin-unreachable', 'gone'))
  await t.rejects(failing.credentials.keys(), { code: 'origin-unreachable' })
  failing.world.nowMs += keysRenewMs
  await t.rejects(failing.credentials.keys(), { code: 'origin-unreachable' })
  t.equal(failing.world.asked, 2)
})

t.test('keys that have ended by our clock are used, as it may be wrong', async t => {
  const { credentials } = made((_, nowMs) => keysUntil('a', nowMs - hour))
  t.equal((await credentials.keys()).accessKeyId, 'a')
  t.equal(credentials.freshMs, keysRenewMs)
})

t.test('keys in JSON are those of programs and services, and nothing of bad ones is said', async t => {
  t.same(keysInJson(keysText('a', { SessionToken: 't', Expiration: '2026-01-01T00:00:00Z' })), {
    accessKeyId: 'a',
    secretAccessKey: 'hush',
    sessionToken: 't',
    expiresMs: Date.UTC(2026, 0, 1),
  })
  t.match(keysInJson(keysText('a', { Token: 't' })), { sessionToken: 't', expiresMs: null })
  for (const wrong of [
    '',
    'null',
    '[]',
    '{}',
    keysText('a b'),
    keysText('a', { Expiration: 'soon' }),
    keysText('a', { Token: 7 }),
  ]) {
    try {
      keysInJson(wrong)
      t.fail(wrong)
    } catch (error) {
      t.notMatch(String(error), /hush/)
    }
  }
})

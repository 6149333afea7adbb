/** The places where AWS's tools find keys, each by itself and in their order. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ContainerKeys } from '../../../../src/origin/s3/credentials/container-keys.ts'
import { defaultCredentials } from '../../../../src/origin/s3/credentials/default-credentials.ts'
import type { AwsEnvironment } from '../../../../src/origin/s3/credentials/environment-keys.ts'
import { InstanceKeys } from '../../../../src/origin/s3/credentials/instance-keys.ts'
import { askKeyService } from '../../../../src/origin/s3/credentials/key-service.ts'
import { keysBytesMax } from '../../../../src/origin/s3/credentials/limits.ts'
import { ProfileKeys, wordsIn } from '../../../../src/origin/s3/credentials/profile-keys.ts'
import { SdkCredentials, type SdkModule, WebIdentityKeys } from '../../../../src/origin/s3/credentials/sdk-keys.ts'
import { SharedFiles } from '../../../../src/origin/s3/credentials/shared-files.ts'
import { keepingLogger } from '../../../fixtures/keeping-logger.ts'
import { type KeyAnswer, keysText, startKeyService } from '../../../fixtures/key-service.ts'

const noSdk = () => Promise.reject(new Error('not wanted'))

/** Files as AWS's tools have them, in a home of the test's own. */
function homeOf(t: Test, files: { readonly config?: string; readonly credentials?: string }): AwsEnvironment {
  return { HOME: t.testdir({ '.aws': { ...files } }) }
}

const profileKeys = (environment: AwsEnvironment, profile: string | null = null, sdk = noSdk) =>
  new ProfileKeys(new SharedFiles(environment, profile), sdk).keys(false)

t.test('shared files have keys by profile, those of `credentials` first', async t => {
  const config =
    '[default]\naws_access_key_id = c\naws_secret_access_key=s\nregion = r\n[profile two]\nregion=r2\n[two]\nregion=no\n'
  const credentials =
    '# mine\n[default]\naws_access_key_id=d ; old\nAWS_Secret_Access_Key = x#y=\n  nested = 1\n[two]\naws_access_key_id=t\naws_secret_access_key=u\naws_session_token=v\n'
  const environment = homeOf(t, { config, credentials })
  t.match(await profileKeys(environment), { accessKeyId: 'd', secretAccessKey: 'x#y=', sessionToken: null })
  t.match(await profileKeys(environment, 'two'), { accessKeyId: 't', secretAccessKey: 'u', sessionToken: 'v' })
  t.match(await profileKeys({ ...environment, AWS_PROFILE: 'two' }), { accessKeyId: 't' })
  t.equal((await new SharedFiles(environment, 'two').profile())?.get('region'), 'r2')
  await t.rejects(profileKeys(environment, 'three'), { code: 'access-denied', message: /no profile "three"/ })
  const elsewhere = join(environment.HOME!, 'elsewhere')
  writeFileSync(elsewhere, '[default]\naws_access_key_id=e\naws_secret_access_key=e\n')
  t.match(await profileKeys({ ...environment, AWS_SHARED_CREDENTIALS_FILE: elsewhere }), { accessKeyId: 'e' })
})

t.test('without files, or a profile without keys, the next place is asked; a named one has to have some', async t => {
  t.equal(await profileKeys({ HOME: '/nonexistent' }), null)
  const environment = homeOf(t, { config: '[default]\nregion = r\n[profile empty]\nregion = r\n' })
  t.equal(await profileKeys(environment), null)
  await t.rejects(profileKeys(environment, 'empty'), { code: 'access-denied' })
  await t.rejects(profileKeys({ HOME: '/x', AWS_CONFIG_FILE: '/' }), { code: 'access-denied' })
})

t.test('a program of a profile gives keys, and nothing of what it says is repeated', async t => {
  t.same(wordsIn(`a "b c" 'd"e' f\\ g "h\\"i"`), ['a', 'b c', 'd"e', 'f g', 'h"i'])
  const environment = homeOf(t, {})
  const program = join(environment.HOME!, 'a program')
  writeFileSync(program, `#!/bin/sh\n[ "$1" = "two words" ] && echo '${keysText('p', { SessionToken: 'q' })}'\n`)
  chmodSync(program, 0o755)
  const config = `[default]\ncredential_process = "${program}" 'two words'\n`
  const others = '[profile bad]\ncredential_process = echo hush\n[profile none]\ncredential_process = /nonexistent\n'
  writeFileSync(join(environment.HOME!, '.aws/config'), config + others)
  t.match(await profileKeys(environment), { accessKeyId: 'p', sessionToken: 'q' })
  for (const name of ['bad', 'none']) {
    const error = await profileKeys(environment, name).then(
      () => null,
      (error: unknown) => error,
    )
    t.match(String(error), /credential_process/)
    t.notMatch(String(error), /hush/)
  }
})

t.test(
  'roles, single sign-on and web identities are asked of the package, which is named when it is missing',
  async t => {
    const environment = homeOf(t, { config: '[profile sso]\nsso_session = x\n[profile role]\nrole_arn = arn\n' })
    const asked: (string | undefined)[] = []
    const refreshes: (boolean | undefined)[] = []
    const module: SdkModule = {
      defaultProvider: ({ profile }) => {
        asked.push(profile)
        return async options => {
          refreshes.push(options?.forceRefresh)
          return { accessKeyId: 'sdk', secretAccessKey: 's', sessionToken: 't', expiration: new Date(5) }
        }
      },
    }
    for (const name of ['sso', 'role']) {
      const sdk = new SdkCredentials(name, () => module)
      const keys = new ProfileKeys(new SharedFiles(environment, name), isAgain => sdk.keys(isAgain))
      t.same(await keys.keys(false), { accessKeyId: 'sdk', secretAccessKey: 's', sessionToken: 't', expiresMs: 5 })
      await keys.keys(true)
    }
    t.same(asked, ['sso', 'role'])
    t.same(refreshes, [false, true, false, true])
    const identity = { AWS_WEB_IDENTITY_TOKEN_FILE: '/x', AWS_ROLE_ARN: 'arn' }
    t.match(await new WebIdentityKeys(identity, new SdkCredentials(null, () => module)).keys(false), {
      accessKeyId: 'sdk',
    })
    t.equal(await new WebIdentityKeys({}, new SdkCredentials(null, () => module)).keys(false), null)
    const missing = new SdkCredentials('sso', () => {
      throw new Error('Cannot find module\nRequire stack')
    })
    await t.rejects(missing.keys(false), {
      code: 'access-denied',
      message: /npm install @aws-sdk\/credential-provider-node \(Cannot find module\)$/,
    })
  },
)

t.test('a container has its keys from the service beside it', async t => {
  const server = await startKeyService(
    t,
    (_, { authorization }): KeyAnswer =>
      authorization === 'proof' ? [200, keysText('c', { Token: 't' })] : [403, 'hush'],
  )
  const full = { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${server.url}/keys` }
  t.equal(await new ContainerKeys({}).keys(), null)
  t.match(await new ContainerKeys({ ...full, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'proof' }).keys(), { accessKeyId: 'c' })
  const file = join(t.testdir({ token: 'proof\n' }), 'token')
  const both = { AWS_CONTAINER_AUTHORIZATION_TOKEN: 'no', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file }
  t.match(await new ContainerKeys({ ...full, ...both }).keys(), { sessionToken: 't' })
  await t.rejects(new ContainerKeys(full).keys(), { code: 'access-denied', message: /^(?!.*hush)/ })
  for (const url of [
    'http://192.0.2.1/',
    'http://example.com/',
    'http://127.0.0.1.example.com/',
    'ftp://127.0.0.1/',
    'x',
  ]) {
    await t.rejects(
      new ContainerKeys({ AWS_CONTAINER_CREDENTIALS_FULL_URI: url }).keys(),
      { code: 'access-denied' },
      url,
    )
  }
})

t.test('an instance has the keys of its role, by a token', async t => {
  const server = await startKeyService(t, (asked, headers): KeyAnswer => {
    if (asked === 'PUT /latest/api/token') {
      return headers['x-aws-ec2-metadata-token-ttl-seconds'] === '21600' ? [200, 'the-token'] : [400, '']
    }
    if (headers['x-aws-ec2-metadata-token'] !== 'the-token') return [401, '']
    if (asked.endsWith('/security-credentials/')) return [200, 'my role\n']
    return asked.endsWith('/my%20role')
      ? [200, keysText('i', { Token: 't', Expiration: '2026-01-01T00:00:00Z' })]
      : [404, '']
  })
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }
  t.match(await new InstanceKeys(environment).keys(), { accessKeyId: 'i', sessionToken: 't' })
  t.equal(server.asked.length, 3)
  t.equal(await new InstanceKeys({ ...environment, AWS_EC2_METADATA_DISABLED: 'true' }).keys(), null)
  t.equal(server.asked.length, 3)
})

t.test('no metadata service, a silent one, and one without a role are no keys; a broken one is an error', async t => {
  const at = async (answer: () => KeyAnswer) => {
    const { url } = await startKeyService(t, answer)
    return new InstanceKeys({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url })
  }
  t.equal(await new InstanceKeys({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' }).keys(), null)
  t.equal(await (await at(() => null)).keys(), null)
  t.equal(await (await at(() => [404, ''])).keys(), null)
  await t.rejects((await at(() => [500, ''])).keys(), { code: 'origin-failed' })
  await t.rejects((await at(() => [200, 'not JSON'])).keys(), /not JSON/)
})

t.test('an exchange with such a service is bounded', async t => {
  const { url } = await startKeyService(t, asked =>
    asked.endsWith('/long') ? [200, 'x'.repeat(keysBytesMax + 1)] : null,
  )
  const ask = (path: string, msMax: number) =>
    askKeyService({ method: 'GET', url: new URL(path, url), headers: {}, msMax })
  await t.rejects(ask('/long', 60_000), { code: 'origin-failed' })
  await t.rejects(ask('/silent', 50), { code: 'origin-timeout' })
  await t.rejects(askKeyService({ method: 'GET', url: new URL('http://127.0.0.1:1'), headers: {}, msMax: 60_000 }), {
    code: 'origin-unreachable',
  })
})

t.test('the places are asked in the order of AWS', async t => {
  const container = await startKeyService(t, () => [200, keysText('container')])
  const environment: Record<string, string> = {
    ...(homeOf(t, {
      credentials:
        '[default]\naws_access_key_id=file\naws_secret_access_key=s\n[two]\naws_access_key_id=two\naws_secret_access_key=s\n',
    }) as Record<string, string>),
    AWS_ACCESS_KEY_ID: 'environment',
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
    AWS_EC2_METADATA_DISABLED: 'true',
    OWN_SECRET: 'own',
  }
  const first = async (over: { profile?: string; own?: boolean } = {}) => {
    const files = new SharedFiles(environment, over.profile ?? null)
    const keys = over.own ? { accessKeyId: 'own', secretAccessKey: { env: 'OWN_SECRET' } } : null
    const wanted = { keys, profile: over.profile ?? null, environment, logger: keepingLogger(), now: Date.now }
    return (await defaultCredentials(wanted, files).keys()).accessKeyId
  }
  t.equal(await first({ own: true }), 'own')
  t.equal(await first({ profile: 'two' }), 'two', 'of the configuration, before the environment')
  t.equal(await first(), 'environment')
  environment.AWS_SESSION_TOKEN = ''
  environment.AWS_PROFILE = 'two'
  t.equal(await first(), 'environment')
  delete environment.AWS_ACCESS_KEY_ID
  t.equal(await first(), 'two')
  delete environment.AWS_PROFILE
  t.equal(await first(), 'file')
  environment.HOME = '/nonexistent'
  t.equal(await first(), 'container')
  delete environment.AWS_CONTAINER_CREDENTIALS_FULL_URI
  await t.rejects(first(), { code: 'access-denied', message: /metadata service/ })
})

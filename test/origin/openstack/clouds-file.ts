/** One cloud of OpenStack's own client configuration: its fields, its secrets, and what is refused of it. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { Secret } from '../../../src/origin/http/secret.ts'
import { cloudNamed } from '../../../src/origin/openstack/clouds-file.ts'

const password = 'a-password-of-the-suite'

/** The environment of a user whose files are these, and the path of one. */
function userWith(t: Test, files: Readonly<Record<string, string>>) {
  const home = t.testdir()
  const directory = join(home, '.config/openstack')
  mkdirSync(directory, { recursive: true })
  const at = (name: string) => join(directory, name)
  for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text, { mode: 0o600 })
  return { environment: { HOME: home, OS_USERNAME: 'not this one' }, at }
}

const demo = `clouds:
  demo:
    auth: {auth_url: "https://k:5000/v3", username: me, project_id: p1, user_domain_name: Users, password: ${password}}
    region_name: R
    interface: internal
    identity_api_version: 3
    verify: true
    cacert: ~/ca.pem
    volume_api_version: 3
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: "https://k:5000/v3", application_credential_id: an-id}
`

t.test('a cloud stands for the variables, and its password is read where it is kept', async t => {
  const { environment, at } = userWith(t, { 'clouds.yaml': demo })
  const cloud = cloudNamed('demo', environment)
  t.same(cloud, {
    environment: {
      OS_AUTH_URL: 'https://k:5000/v3',
      OS_USERNAME: 'me',
      OS_PROJECT_ID: 'p1',
      OS_USER_DOMAIN_NAME: 'Users',
      OS_REGION_NAME: 'R',
      OS_INTERFACE: 'internal',
    },
    password: { file: at('clouds.yaml'), keys: ['clouds', 'demo', 'auth', 'password'] },
    applicationCredentialSecret: null,
    ca: join(environment.HOME, 'ca.pem'),
  })
  const secret = new Secret(cloud.password!, { logger: silentLogger })
  t.equal(await secret.value(), password)
  writeFileSync(at('clouds.yaml'), demo.replace(password, 'another'))
  t.equal(await secret.renew(), 'another', 'a new one counts')
  writeFileSync(at('clouds.yaml'), demo.replace(password, '12'))
  t.equal(await secret.renew(), 'another', 'a number is none')
})

t.test('secure.yaml adds the secrets, so that clouds.yaml may be read by all', async t => {
  const secure = 'clouds: {robot: {auth: {application_credential_secret: hidden}}, demo: {auth: {password: over}}}'
  const { environment, at } = userWith(t, { 'clouds.yaml': demo, 'secure.yaml': secure })
  chmodSync(at('clouds.yaml'), 0o644)
  const { applicationCredentialSecret } = cloudNamed('robot', environment)
  t.equal(await new Secret(applicationCredentialSecret!, { logger: silentLogger }).value(), 'hidden')
  t.match(cloudNamed('demo', environment), { password: { file: at('secure.yaml') } })
})

t.test('variables name other files', async t => {
  const { environment, at } = userWith(t, { 'mine.yaml': demo.replaceAll('demo', 'mine') })
  const named = { ...environment, OS_CLIENT_CONFIG_FILE: at('mine.yaml') }
  t.equal(cloudNamed('mine', named).password !== null, true)
  t.throws(() => cloudNamed('mine', environment), { code: 'invalid-argument', message: /no file of clouds: .*clouds/ })
})

t.test('what would be another login is refused by name, without a word of the secret', async t => {
  const wrong: readonly (readonly [change: readonly [string, string], message: RegExp])[] = [
    [['region_name', 'profile: vexxhost\n    region_name'], /profile in .*clouds\.yaml is not supported/],
    [['region_name: R', 'regions: [R, S]'], /regions in .* is not supported/],
    [['region_name', 'image_endpoint_override: "http://x/"\n    region_name'], /image_endpoint_override/],
    [['username: me', 'username: me, system_scope: all'], /auth\.system_scope is not supported/],
    [['username: me', 'username: me, constructor: a'], /auth\.constructor is not supported/],
    [['region_name', 'auth_type: v3oidcpassword\n    region_name'], /auth_type/],
    [['identity_api_version: 3', 'identity_api_version: 2'], /identity_api_version/],
    [['verify: true', 'verify: false'], /verify other than true is not supported: give a cacert/],
    [['project_id: p1', 'project_id: 1e3'], /auth\.project_id is not a text/],
    [['auth_url: "https://k:5000/v3", username', 'username'], /no auth\.auth_url/],
    [['demo:', 'another:'], /has another, robot, and not it/],
    [[', password', ', "password'], /its line \d is not YAML/],
  ]
  for (const [[from, to], message] of wrong) {
    const { environment } = userWith(t, { 'clouds.yaml': demo.replace(from, to) })
    const refused = t.throws(() => cloudNamed('demo', environment), { code: 'invalid-argument', message }) as Error
    t.notMatch(`${refused?.message} ${refused?.cause}`, password, from)
  }
})

t.test('a file that others may read or write is refused', async t => {
  const { environment, at } = userWith(t, { 'clouds.yaml': demo })
  const refused = (message: RegExp) => t.throws(() => cloudNamed('demo', environment), { message })
  chmodSync(at('clouds.yaml'), 0o644)
  refused(/has secrets, and others may read or write it: run "chmod 600/)
  t.equal(cloudNamed('robot', environment).password, null, 'this one has none in it')
  chmodSync(at('clouds.yaml'), 0o622)
  refused(/is not usable/)
  chmodSync(at('clouds.yaml'), 0o600)
  writeFileSync(at('clouds.yaml'), `${demo}${'#'.repeat(300_000)}`)
  refused(/longer than/)
})

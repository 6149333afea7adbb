/** Logins for registries: of the settings, of docker's and podman's files, and of helpers. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { loginFreshMs } from '../../../src/origin/oci/limits.ts'
import { type LoginSources, RegistryLogin } from '../../../src/origin/oci/registry-login.ts'

const names = ['r.example/a/b', 'r.example/a', 'r.example', 'https://r.example']
const none: LoginSources = { basic: null, file: null }
const auth = (pair: string) => ({ auth: Buffer.from(pair).toString('base64') })

/** A file of logins. @returns its path */
function write(directory: string, content: object | string, mode = 0o600): string {
  const path = join(directory, 'config.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  chmodSync(path, mode)
  return path
}

/** A program that says what it was asked, in a directory of PATH. */
function helper(directory: string, name: string, script: string): Record<string, string> {
  const path = join(directory, `docker-credential-${name}`)
  writeFileSync(path, `#!/bin/sh\nread -r server\necho "$1 $server" >> ${directory}/asked\n${script}\n`)
  chmodSync(path, 0o755)
  return { PATH: `${directory}:${process.env.PATH}` }
}

function login(sources: Partial<LoginSources>, environment: Record<string, string> = {}, now = () => 0) {
  return new RegistryLogin({ ...none, ...sources }, names, { logger: silentLogger, environment, now })
}

t.test('the settings come before all files', async t => {
  const file = write(t.testdir(), { auths: { 'r.example': auth('docker:x') } })
  const basic = { username: 'set', password: { env: 'PASSWORD' } }
  t.same(await login({ basic, file }, { PASSWORD: 'y' }).current(), { username: 'set', password: 'y' })
  await t.rejects(login({ basic, file }).current(), { code: 'access-denied' })
})

t.test('the entry of the most particular name counts', async t => {
  const at = async (auths: object) => await login({ file: write(t.testdir(), { auths }) }).current()
  t.same(await at({ 'r.example': auth('a:b:c'), other: auth('x:y') }), { username: 'a', password: 'b:c' })
  t.same(await at({ 'r.example': auth('a:b'), 'r.example/a': auth('c:d') }), { username: 'c', password: 'd' })
  t.same(await at({ 'https://r.example': { username: 'a', password: 'b' } }), { username: 'a', password: 'b' })
  const identity = { username: '<token>', password: 'x' }
  t.same(await at({ 'r.example': { ...auth('a:'), identitytoken: 'x' } }), identity)
  t.equal(await at({ 'r.example': {} }), null, 'its login is in a store')
  t.equal(await at({ other: auth('x:y') }), null)
  t.equal(await at({}), null)
})

t.test('files are looked for where podman and docker do', async t => {
  const home = t.testdir()
  const place = (path: string, name: string) => {
    mkdirSync(join(home, path, '..'), { recursive: true })
    writeFileSync(join(home, path), JSON.stringify({ auths: { 'r.example': auth(`${name}:x`) } }), { mode: 0o600 })
  }
  const found = async (environment: Record<string, string>) => (await login({}, environment).current())?.username
  const [run, docker] = [join(home, 'run'), join(home, 'docker')]
  t.equal(await found({}), undefined)
  t.equal(await found({ HOME: home }), undefined)
  place('.docker/config.json', 'home')
  t.equal(await found({ HOME: home, XDG_RUNTIME_DIR: run }), 'home')
  place('docker/config.json', 'docker')
  t.equal(await found({ HOME: home, DOCKER_CONFIG: docker }), 'docker')
  place('run/containers/auth.json', 'podman')
  t.equal(await found({ HOME: home, XDG_RUNTIME_DIR: run, DOCKER_CONFIG: docker }), 'podman')
  place('own.json', 'own')
  t.equal(await found({ REGISTRY_AUTH_FILE: join(home, 'own.json'), XDG_RUNTIME_DIR: run }), 'own')
})

t.test('a file that cannot be used is said so, without what is in it', async t => {
  for (const [content, mode, message] of [
    [{ auths: { 'r.example': auth('hunter:hunter2') } }, 0o644, /chmod 600/],
    ['{"hunter2"', 0o600, /no JSON object/],
    ['["hunter2"]', 0o600, /no JSON object/],
    [{ auths: { 'r.example': { auth: Buffer.from('hunter2').toString('base64') } } }, 0o600, /cannot be read/],
    [{ credsStore: '../../bin/hunter2' }, 0o600, /a name that is none/],
  ] as const) {
    const error = await login({ file: write(t.testdir(), content, mode) })
      .current()
      .catch(error => error)
    t.match(error, { code: 'access-denied', message })
    t.notMatch(error.message, /hunter2/)
  }
  const open = write(t.testdir(), { auths: { other: auth('x:y') } }, 0o644)
  t.equal(await login({ file: open }).current(), null, 'one that has no login for us may be open')
  t.equal(await login({ file: join(t.testdir(), 'none.json') }).current(), null)
  await t.rejects(login({ file: t.testdir() }).current(), { code: 'access-denied' })
})

t.test('a helper is asked for its registry, a store for all', async t => {
  const directory = t.testdir()
  const answer = `echo '{"ServerURL":"x","Username":"u","Secret":"s"}'`
  const environment = helper(directory, 'own', answer)
  helper(
    directory,
    'store',
    'if [ "$server" = r.example ]; then echo \'{"Username":"v","Secret":"t"}\'; else echo credentials not found in native keychain; exit 1; fi',
  )
  const asked = () => readFileSync(join(directory, 'asked'), 'utf8').trim().split('\n')
  const file = (content: object) => write(directory, content)
  const own = login({ file: file({ credHelpers: { 'r.example': 'own' }, credsStore: 'store' }) }, environment)
  t.same(await own.current(), { username: 'u', password: 's' })
  t.same(asked(), ['get r.example'])
  const store = login({ file: file({ credsStore: 'store', auths: { 'r.example': {} } }) }, environment)
  t.same(await store.current(), { username: 'v', password: 't' })
  t.same(asked().at(-1), 'get r.example')
  helper(directory, 'empty', 'echo credentials not found in native keychain; exit 1')
  t.equal(await login({ file: file({ credsStore: 'empty' }) }, environment).current(), null)
})

t.test('a helper that fails is named, and what it wrote is not', async t => {
  const directory = t.testdir()
  const file = write(directory, { credHelpers: { 'r.example': 'bad' } })
  const failure = async (script: string) => {
    const error = await login({ file }, helper(directory, 'bad', script))
      .current()
      .catch(error => error)
    t.match(error, { code: 'access-denied', message: /docker-credential-bad|no JSON|JSON/ })
    t.notMatch(error.message, /hunter2/)
  }
  await failure('echo hunter2; exit 3')
  await failure('echo hunter2')
  await failure('echo \'{"Username":"hunter2"}\'')
  await failure('head -c 100000 /dev/zero')
  t.match(
    await login({ file }, { PATH: directory.replace(/.$/, '') })
      .current()
      .catch(error => error),
    {
      message: /ENOENT/,
    },
  )
})

t.test('a login is read anew after a while, and after a refusal', async (t: Test) => {
  const directory = t.testdir()
  const put = (name: string) => write(directory, { auths: { 'r.example': auth(`${name}:x`) } })
  let ms = 0
  const kept = login({ file: put('a') }, {}, () => ms)
  const user = async () => (await kept.current())?.username
  t.equal(await user(), 'a')
  put('b')
  t.equal(await user(), 'a')
  ms += loginFreshMs
  t.equal(await user(), 'b')
  put('c')
  await kept.renew()
  t.equal(await user(), 'b', 'a moment after it was read')
  ms += 60_000
  await kept.renew()
  t.equal(await user(), 'c')
})

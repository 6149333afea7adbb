/**
 * One mount with every kind of origin that wants a secret, read, cloned by qemu, refused, and reported: no secret is
 * anywhere but where the operator put it.
 */

import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import { noCeph } from '../fixtures/ceph/cluster.ts'
import { type SilentMonitor, startSilentMonitor } from '../fixtures/ceph/silent-monitor.ts'
import { cannotMount, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { freePort } from '../fixtures/free-port.ts'
import { noGlance, startGlance } from '../fixtures/glance-server.ts'
import { startHttpProxy } from '../fixtures/http-proxy.ts'
import { HttpResponder } from '../fixtures/http-responder.ts'
import { sampleBytes } from '../fixtures/images.ts'
import { startKeystoneStandIn } from '../fixtures/keystone-stand-in.ts'
import { noNbdkit, startNbdkit } from '../fixtures/nbd-server.ts'
import { startCollector } from '../fixtures/otlp-collector.ts'
import { noRegistry, RegistryServer, registryUser } from '../fixtures/registry-server.ts'
import { run } from '../fixtures/run.ts'
import { S3Client } from '../fixtures/s3-client.ts'
import { filesWith, formsOf, saidBy, shownByKernel } from '../fixtures/secret-search.ts'
import { SwiftObjects, swiftAccess } from '../fixtures/swift-objects.ts'
import { noSwift, startSwift } from '../fixtures/swift-server.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || noCeph || noSwift || noGlance || noRegistry || noNbdkit
const image = { seed: 47, sizeBytes: 1024 * 1024, dataShare: 1 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** Secrets that the test makes up; servers have others of their own. */
const made = {
  basic: 'basic-secret-1f6b',
  query: 'sig=query-secret-2a9c',
  header: 'header-secret-3d07',
  bearer: 'bearer-secret-4e55',
  proxy: 'proxy-secret-5b21',
  session: 'session-secret-6c88',
  keystone: 'keystone-secret-7f3a',
  credential: 'credential-secret-8d19',
  psk: '9a0b1c2d3e4f5061728394a5b6c7d8e9',
  fleet: 'fleet-secret-af42',
  otlp: 'otlp-secret-b713',
  web: 'web-secret-of-16-characters-c3',
  s3: 's3-secret-d2e4',
  // Type, time and length, and 16 bytes. Source: ceph 16, src/auth/Crypto.cc, CryptoKey::encode.
  ceph: 'AQAAAAAAAAAAABAA8OXsGns9TF6ai3xtXk86Kw==',
  damaged: 'damaged-secret-of-ceph-e8f0',
}
type Name = keyof typeof made | 'swift' | 'oci'

/** The bytes of that key, as libraries that say them would. */
const cephKeyInHex = Buffer.from(made.ceph, 'base64').subarray(-16).toString('hex')

/** Origins, each in a directory of its own, as the configuration has them; with the secrets of all. */
interface World {
  readonly origins: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<Name, string>>
  /** Names of images by directory. */
  readonly names: Readonly<Record<string, string>>
  /** More that servers gave: tokens. */
  given(): readonly string[]
  readonly monitor: SilentMonitor
}

t.test('no secret of any kind of origin is anywhere', { skip }, async t => {
  const where = place(t)
  const [directory, keys] = [join(where.top, 'served'), join(where.top, 'keys')]
  for (const each of [directory, keys]) mkdirSync(each)
  writeFileSync(join(directory, 'a.raw'), bytes)
  const world = await startWorld(t, directory, keys)
  const collector = await startCollector(t)
  const [config, log] = [join(where.top, 'p.yaml'), join(where.top, 'log')]
  const [fleetPort, webPort] = [await freePort(), await freePort()]
  writeSecrets(keys, world.secrets)
  writeFileSync(
    config,
    `mountpoint: ${where.mountpoint}
origins:
${Object.entries(world.origins)
  .map(([name, settings]) => `  ${name}: { ${settings}, revalidate: 0ms }`)
  .join('\n')}
cache: { directory: ${where.cacheDirectory}, capacity: 200MiB }
log: { file: ${log}, level: trace }
fleet: { listen: "127.0.0.1:${fleetPort}", token: { file: ${keys}/fleet } }
web: { listen: "127.0.0.1:${webPort}", token: { file: ${keys}/web } }
tracing: { otlp: "${collector.url}", ratio: 100%, headers: { X-Otlp-Key: { file: ${keys}/otlp } } }
`,
  )
  process.env.PARENTFS_TEST_BEARER = made.bearer
  t.teardown(() => void delete process.env.PARENTFS_TEST_BEARER)
  t.match(await parentfs('mount', '--background', '--config', config), { code: 0, stderr: '' })
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))

  // Each server gives nothing without its secret.
  for (const [origin, name] of Object.entries(world.names)) {
    const path = join(where.mountpoint, origin, name)
    t.ok((await readFile(path)).equals(bytes), origin)
    await cloned(t, where, path, origin)
  }
  await until(() => world.monitor.connections() > 0, patienceMs, 'a client of Ceph, which has read its key')
  await t.rejects(readdir(join(where.mountpoint, 'damaged')))
  await fetch(`http://127.0.0.1:${fleetPort}/`, { headers: { authorization: `Bearer ${made.fleet}` } })
  await until(() => collector.headers.some(each => each['x-otlp-key'] === made.otlp), patienceMs, 'a trace')
  await leaksNothing(t, world, { where, config, log, secrets: Object.values(world.secrets) })

  // And errors say nothing of the wrong ones.
  const wrong = Object.fromEntries(Object.keys(world.secrets).map(name => [name, wrongOf(name)]))
  writeSecrets(keys, wrong)
  t.match(await parentfs('reload', where.mountpoint), { code: 0 })
  for (const origin of Object.keys(world.names)) {
    await t.rejects(readFile(join(where.mountpoint, origin, 'another.raw')), origin)
    await readdir(join(where.mountpoint, origin)).catch(() => {}) // It is refused, or the names of before are shown.
  }
  const all = [...Object.values(world.secrets), ...Object.values(wrong)]
  await leaksNothing(t, world, { where, config, log, secrets: all })
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.same(
    await filesWith(
      all.flatMap(secret => formsOf(secret)),
      [log, where.cacheDirectory, config],
    ),
    [],
  )
})

/** Each in a file of its own, as operators keep them, replaced at once. */
function writeSecrets(keys: string, secrets: Readonly<Record<string, string>>): void {
  const { username } = registryUser
  const auth = Buffer.from(`${username}:${secrets.oci}`).toString('base64')
  const logins = { auths: JSON.parse(readHost(keys, auth)) }
  const keyringWith = (key: string | undefined) => `[client.parents]\n\tkey = ${key}`
  const keyrings = { ceph: keyringWith(secrets.ceph), damaged: keyringWith(secrets.damaged) }
  const files = { ...secrets, ...keyrings, 'docker.json': JSON.stringify(logins) }
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(keys, `${name}.new`), `${text}\n`, { mode: 0o600 })
    renameSync(join(keys, `${name}.new`), join(keys, name))
  }
  // Of the program that says one.
  writeFileSync(join(keys, 'program'), `#!/bin/sh\ncat ${join(keys, 'header')}\n`, { mode: 0o700 })
}

/** The logins of docker's configuration, for the registry of this test. */
function readHost(keys: string, auth: string): string {
  return JSON.stringify({ [readFileSync(join(keys, 'registry'), 'utf8')]: { auth } })
}

/** Of the right form, so that the server is asked. */
function wrongOf(name: string): string {
  if (name === 'psk') return 'f0e1d2c3b4a5968778695a4b3c2d1e0f'
  return name === 'query' ? 'sig=query-wrong-77aa' : `${name}-wrong-of-the-suite-77aa`
}

/** A clone of qemu over the file: it has the bytes of its parent, keeps what is written, and reads the rest. */
async function cloned(t: Test, { top, originDirectory }: Place, parent: string, name: string): Promise<void> {
  const [clone, plain] = [join(top, `clone-${name}`), join(originDirectory, 'plain.raw')]
  writeFileSync(plain, bytes)
  await run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', parent, '-F', 'raw', clone)
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, plain)
  const said = await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 64k 8k', '-c', 'read -P 0x5a 64k 8k', clone)
  t.notMatch(said.toString(), /fail|error/i, `a clone over ${name}`)
  await run('qemu-io', '-f', 'raw', '-c', 'write -P 0x5a 64k 8k', plain)
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, plain)
}

interface Search {
  readonly where: Place
  readonly config: string
  readonly log: string
  readonly secrets: readonly string[]
}

async function leaksNothing(t: Test, world: World, { where, config, log, secrets }: Search): Promise<void> {
  const { keystone, swift, basic, proxy, oci } = world.secrets
  const users = [formsOf(basic, 'bob'), formsOf(proxy, 'carol'), formsOf(oci, registryUser.username)].flat()
  const forms = [...secrets.flatMap(secret => formsOf(secret)), ...users, ...world.given()]
  t.ok(forms.includes(keystone) && forms.includes(swift) && world.given().length > 2, `${forms.length} forms`)
  const status = await statusOf(where)
  const said = await saidBy(t, where.mountpoint, config)
  const runtime = besideSocket(where.mountpoint)
  t.same(await filesWith(forms, [said, log, where.cacheDirectory, config, ...runtime]), [], 'files and what is said')
  for (const [place, content] of Object.entries(shownByKernel(status))) {
    // A variable is where the operator put it.
    const own = place.startsWith('environment') ? forms.filter(form => !formsOf(made.bearer).includes(form)) : forms
    for (const form of own) if (content.includes(form)) t.fail(`${form.slice(0, 6)}... in ${place}`)
  }
  // The search is awake.
  const planted = join(said, 'planted')
  writeFileSync(planted, Buffer.concat([Buffer.from([0, 255]), Buffer.from(formsOf(proxy, 'carol').at(-1)!)]))
  t.same(await filesWith(forms, [said]), [planted])
}

/** Files of the daemon beside its socket. */
function besideSocket(mountpoint: string): string[] {
  const socket = socketPath(mountpoint, trustedRuntimeDirectory())
  const [directory, name] = [dirname(socket), basename(socket, '.sock')]
  const own = readdirSync(directory).filter(each => each.startsWith(name) && !each.endsWith('.sock'))
  return own.map(each => join(directory, each))
}

async function startWorld(t: Test, directory: string, keys: string): Promise<World> {
  const [swift, glance, registry] = await Promise.all([
    startSwift(t),
    startGlance(t),
    RegistryServer.start(t, { auth: 'htpasswd' }),
  ])
  writeFileSync(join(keys, 'registry'), registry.host)
  await registry.push('images', 'a', [{ bytes }])
  await glance.put({ name: 'a.raw', bytes })
  const access = await swiftAccess(swift.authUrl, swift.user, swift.key)
  const objects = new SwiftObjects(access)
  await objects.create('images')
  await objects.put('images', 'a.raw', bytes)
  const client = new S3Client(swift.s3, 'bucket')
  await client.create()
  await client.ask({ method: 'PUT', key: 'a.raw', body: bytes })
  writeFileSync(join(keys, 'psk-of-server'), `parents:${made.psk}\n`, { mode: 0o600 })
  const psk = ['--tls=require', `--tls-psk=${join(keys, 'psk-of-server')}`]
  const nbd = await startNbdkit(t, [...psk, 'file', join(directory, 'a.raw')])
  const keystone = await startKeystoneStandIn(
    t,
    { image: glance.endpoint },
    {
      demo: made.keystone,
      parents: made.credential,
    },
  )
  const monitor = await startSilentMonitor(t, keys)
  const proxy = await startHttpProxy({ credentials: `carol:${made.proxy}` })
  t.teardown(() => proxy.close())
  const basic = `Basic ${Buffer.from(`bob:${made.basic}`).toString('base64')}`
  const guarded = await serve(t, directory, null, ({ headers, url }) =>
    Boolean(headers.authorization === basic && headers['x-key'] === made.header && url?.includes(made.query)),
  )
  const bearer = await serve(t, directory, null, ({ headers }) => headers.authorization === `Bearer ${made.bearer}`)
  const session = await serve(
    t,
    directory,
    'sessions',
    ({ headers }) => headers['x-amz-security-token'] === made.session,
  )
  const file = (name: Name) => `{ file: ${join(keys, name)} }`
  const { endpoint, accessKey, region } = swift.s3
  const s3Keys = (id: string, name: Name) => `accessKeyId: "${id}", secretAccessKey: ${file(name)}, region: ${region}`
  const user = `authUrl: "${keystone.authUrl}", username: demo, password: ${file('keystone')}, project: demo`
  const credential = `applicationCredentialId: parents, applicationCredentialSecret: ${file('credential')}`
  const query = `query: ${file('query')}, headers: { X-Key: { command: [${join(keys, 'program')}] } }`
  return {
    secrets: { ...made, swift: swift.key, oci: registryUser.password },
    given: () => [access.token, ...keystone.given, cephKeyInHex],
    monitor,
    names: {
      ...{ basic: 'a.raw', bearer: 'a.raw', s3: 'a.raw', session: 'a.raw', swift: 'a.raw' },
      ...{ glance: 'a.raw', credential: 'a.raw', oci: 'a', nbd: 'default' },
    },
    origins: {
      basic: `url: "${guarded}", basic: { username: bob, password: ${file('basic')} }, ${query}`,
      bearer: `url: "${bearer.replace('127.0.0.1', 'images.test')}", bearer: { env: PARENTFS_TEST_BEARER }, proxy: "${proxy.url}", proxyBasic: { username: carol, password: ${file('proxy')} }`,
      s3: `url: "s3://bucket/", endpoint: "${endpoint}", ${s3Keys(accessKey, 'swift')}`,
      session: `url: "s3://sessions/", endpoint: "${session.replace(/\/$/, '')}", ${s3Keys('AKIDEXAMPLE', 's3')}, sessionToken: ${file('session')}`,
      swift: `url: "swift://images/", authUrl: "${swift.authUrl}", username: "${swift.user}", password: ${file('swift')}`,
      glance: `url: "glance://", ${user}`,
      credential: `url: "${glance.url}", authUrl: "${keystone.authUrl}", ${credential}`,
      oci: `url: "oci://${registry.host}/images", dockerConfig: ${join(keys, 'docker.json')}`,
      ...cephOrigins(monitor, keys),
      nbd: `url: "${nbd.url.replace('nbd:', 'nbds:')}", allowMutable: true, tlsUsername: parents, tlsPskKey: ${file('psk')}`,
    },
  }
}

/** One that reads its key and hears nothing, and one whose keyring cannot be decoded. */
function cephOrigins({ configuration }: SilentMonitor, keys: string) {
  const inCluster = `cephConf: ${configuration}, cephId: parents`
  return {
    ceph: `url: "rbd://images/", ${inCluster}, cephKeyring: ${join(keys, 'ceph')}`,
    damaged: `url: "rbd://others/", ${inCluster}, cephKeyring: ${join(keys, 'damaged')}`,
  }
}

/** A web server over a directory, or a bucket, that refuses what brings no secret. @returns its URL */
async function serve(
  t: Test,
  directory: string,
  bucket: string | null,
  letsIn: (request: IncomingMessage) => boolean,
): Promise<string> {
  const responder = new HttpResponder({ directory, ...(bucket === null ? {} : { bucket }) })
  // Its own end of a connection must not cross a request.
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (!letsIn(request)) return void response.writeHead(403).end('refused')
    responder.respond(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** A mount that reads its configuration file again. Its secrets are nowhere but where they belong. */
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Status } from '../../src/admin/status.ts'
import { cannotMount, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { HttpResponder } from '../fixtures/http-responder.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const image = { seed: 21, sizeBytes: 2 * 1024 * 1024 + 17 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** A place with an image `a.raw`, a configuration file, and a log. */
function configuredPlace(t: Test) {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const [file, log] = [join(where.top, 'p.yaml'), join(where.top, 'log')]
  const configure = (text: string) => writeFileSync(file, `mountpoint: ${where.mountpoint}\n${text}`)
  const mount = async () => {
    t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
    return statusOf(where)
  }
  const reload = () => parentfs('reload', where.mountpoint)
  const logged = () => readFileSync(log, 'utf8')
  return { where, file, log, configure, mount, reload, logged }
}

t.test('a reload takes what it can, names what it cannot, and adds an origin', options, async t => {
  const { where, log, configure, mount, reload, logged } = configuredPlace(t)
  const settings = (cache: string, origins: string, level: string) =>
    `cache: { directory: ${where.cacheDirectory}, ${cache} }\norigins:\n  a: { url: "${where.origin}" }\n${origins}log: { file: ${log}, level: ${level} }\n`
  configure(settings('capacity: 200MiB', '', 'info'))
  const { pid } = await mount()
  t.match(await reload(), { code: 0, stdout: /nothing to change/ })
  const second = `${where.top}/second`
  const other = { seed: 22, sizeBytes: 4321 }
  writeSample(join(where.originDirectory, 'b.raw'), other)
  configure(
    settings('capacity: 300MiB, blockSize: 128KiB', `  b: { url: "file://${second}/../origin/../origin" }\n`, 'debug'),
  )
  // Not the same origin twice, whatever it is called.
  t.match(await reload(), {
    code: 1,
    stderr: /^parentfs: .*p\.yaml:5:13: origins\.b\.url: .* is the origin a already.*\n$/,
  })
  t.equal((await statusOf(where)).cache.capacityBytes, 200 * 1024 ** 2, 'a file that is not usable changes nothing')
  const far = await serve(t, where, () => true)
  configure(settings('capacity: 300MiB, blockSize: 128KiB', `  b: { url: "${far}" }\n`, 'debug'))
  const reloaded = await reload()
  t.equal(reloaded.code, 1)
  t.same(reloaded.stdout.toString().split('\n'), [
    `${where.mountpoint}: origins.b is ${far} now, after nothing`,
    `${where.mountpoint}: cache.capacity is 300MiB now, after 200MiB`,
    `${where.mountpoint}: log.level is debug now, after info`,
    `${where.mountpoint}: cache.blockSize stays 64KiB until the next mount, although the file says 128KiB`,
    '',
  ])
  const status = await statusOf(where)
  t.match(status, { pid, cache: { capacityBytes: 300 * 1024 ** 2, blockBytes: 65536 } })
  t.match(status.origins, [{ name: 'a' }, { name: 'b', url: far }])
  t.same(readdirSync(where.mountpoint), ['a', 'b'])
  t.ok((await readFile(join(where.mountpoint, 'b', 'b.raw'))).equals(sampleBytes(other, 0, other.sizeBytes)))
  t.ok((await readFile(join(where.mountpoint, 'a', 'a.raw'))).equals(bytes))
  // A signal does the same.
  configure(settings('capacity: 250MiB', `  b: { url: "${far}", missTimeout: 2s }\n`, 'warn'))
  process.kill(status.supervisorPid, 'SIGHUP')
  await until(async () => (await statusOf(where)).cache.capacityBytes === 250 * 1024 ** 2, patienceMs, 'the reload')
  // The first reload, the third one and the signal; then nothing of level info is logged any more, by worker or
  // supervisor.
  const said = () => logged().split('the configuration was read again').length - 1
  await until(() => said() === 3, patienceMs, 'the last line of level info')
  t.match(await reload(), { code: 0, stdout: /nothing to change/ })
  const before = logged().length
  configure('nonsense: [')
  process.kill(status.supervisorPid, 'SIGHUP')
  await until(() => /p\.yaml:\d+:\d+: /.test(logged().slice(before)), patienceMs, 'the complaint')
  t.equal(said(), 3)
  t.match(await statusOf(where), { pid, state: 'ready', cache: { capacityBytes: 250 * 1024 ** 2 } })
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})

t.test('a worker that takes over has what was in effect: the rest waits for the next mount', options, async t => {
  const { where, log, configure, mount, reload } = configuredPlace(t)
  const settings = (cache: string) =>
    `cache: { ${cache} }\norigin: { url: "${where.origin}" }\nlog: { file: ${log}, level: info }\n`
  configure(settings(`directory: ${where.cacheDirectory}, capacity: 200MiB`))
  const { pid } = await mount()
  const image = await open(join(where.mountpoint, 'a.raw'))
  t.teardown(() => image.close())
  configure(settings(`directory: ${where.top}/other, capacity: 300MiB, blockSize: 128KiB`))
  t.equal((await reload()).code, 1)
  process.kill(pid, 'SIGKILL')
  const read = Buffer.alloc(bytes.length)
  await image.read(read, 0, bytes.length, 0)
  t.ok(read.equals(bytes), 'the open image goes on')
  const { cache, health } = await statusOf(where)
  t.match(cache, { directory: where.cacheDirectory, blockBytes: 65536, capacityBytes: 300 * 1024 ** 2 })
  t.match(health, { state: 'healthy' })
  t.match(await reload(), { code: 1, stdout: /cache.blockSize stays 64KiB until the next mount/ }, 'and is said again')
})

t.test('a mount without a file has nothing to read again', options, async t => {
  const where = place(t)
  const { mountpoint, cacheDirectory, origin } = where
  const args = ['mount', '--background', '--cache-dir', cacheDirectory, '--capacity', '200MiB', origin, mountpoint]
  t.match(await parentfs(...args), { code: 0 })
  t.match(await parentfs('reload', mountpoint), { code: 1, stderr: /without a configuration file/ })
  t.match(await parentfs('unmount', mountpoint), { code: 0 })
  t.match(await parentfs('reload', mountpoint), { code: 1, stderr: /is not a parentfs mount/ })
})

t.test('a token expires and is replaced under a mount, and no secret is seen anywhere', options, async t => {
  const { where, log, configure, mount, reload, logged } = configuredPlace(t)
  const secrets = ['s3cret-of-the-file-1', 's3cret-of-the-file-2', 's3cret-of-the-variable', 's3cret-of-the-program']
  const wanted = { token: secrets[0] }
  const token = join(where.top, 'token')
  const program = join(where.top, 'program')
  writeFileSync(token, `${secrets[0]}\n`, { mode: 0o600 })
  writeFileSync(program, `#!/bin/sh\necho ${secrets[3]}\n`, { mode: 0o700 })
  process.env.PARENTFS_TEST_SECRET = secrets[2]
  t.teardown(() => void delete process.env.PARENTFS_TEST_SECRET)
  const refused: string[] = []
  const url = await serve(t, where, ({ headers, url }) => {
    const isRight =
      headers.authorization === `Bearer ${wanted.token}` &&
      headers['x-variable'] === secrets[2] &&
      headers['x-program'] === secrets[3]
    if (!isRight) refused.push(url ?? '')
    return isRight
  })
  const headers = `{X-Variable: {env: PARENTFS_TEST_SECRET}, X-Program: {command: [${program}]}}`
  const text = `origin: { url: "${url}", bearer: {file: ${token}}, headers: ${headers}, tries: 1, revalidate: 0ms }
cache: { directory: ${where.cacheDirectory}, capacity: 200MiB }
log: { file: ${log}, level: trace }
`
  configure(text)
  const status = await mount()
  const path = join(where.mountpoint, 'a.raw')
  t.ok((await readFile(path)).equals(bytes))
  t.equal(refused.length, 0)
  // The token in the file is replaced before the server wants it; a refused request is tried again with the new one.
  writeFileSync(token, `${secrets[1]}\n`)
  wanted.token = secrets[1]
  replace(where, 23)
  await until(
    async () => (await readFile(path)).equals(sampleBytes({ ...image, seed: 23 }, 0, image.sizeBytes)),
    patienceMs,
    'the new image',
  )
  // And a wrong one is an error that says nothing of it.
  wanted.token = 'another'
  t.match(await reload(), { code: 0, stdout: /secrets are read again/ })
  // A new one: cached names are served whatever the server says.
  writeSample(join(where.originDirectory, 'c.raw'), image)
  await t.rejects(readFile(join(where.mountpoint, 'c.raw')))
  t.ok(refused.length > 0)
  await leaksNothing(t, where, status, logged(), secrets)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.notMatch(logged(), /s3cret/)
})

/** Another image under the name, by rename. */
function replace({ originDirectory }: Place, seed: number): void {
  const fresh = join(originDirectory, `fresh-${seed}`)
  writeSample(fresh, { ...image, seed })
  renameSync(fresh, join(originDirectory, 'a.raw'))
}

/** Neither in what is logged, nor in any status, nor in what /proc shows everybody. */
async function leaksNothing(
  t: Test,
  where: Place,
  { pid, supervisorPid }: Status,
  log: string,
  secrets: readonly string[],
) {
  const places: Record<string, string> = {
    log,
    status: JSON.stringify(await statusOf(where)),
    table: (await parentfs('status', where.mountpoint)).stdout.toString(),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8'),
  }
  for (const id of [pid, supervisorPid]) places[`command line of ${id}`] = readFileSync(`/proc/${id}/cmdline`, 'utf8')
  // A variable is where the operator put it; what was read from elsewhere is not added to it.
  const environment = [pid, supervisorPid].map(id => readFileSync(`/proc/${id}/environ`, 'utf8')).join('')
  t.ok(environment.includes('PARENTFS_TEST_SECRET'), 'there are environments to look at')
  for (const secret of secrets.filter(each => each !== process.env.PARENTFS_TEST_SECRET)) {
    t.notOk(environment.includes(secret), `${secret.length} bytes in an environment`)
  }
  for (const name of ['', 'VERSION', 'images', 'index', 'index/data.mdb']) {
    t.equal(statSync(join(where.cacheDirectory, name)).mode & 0o077, 0, `${name} of the cache is for nobody else`)
  }
  t.ok(log.length > 1000, 'there is a log to look at')
  for (const [name, text] of Object.entries(places)) {
    for (const secret of secrets) t.notOk(text.includes(secret), `${secret.length} bytes in ${name}`)
    t.notOk(text.includes(Buffer.from(secrets[0]!).toString('base64')), name)
  }
}

/** A web server over the place's origin that answers 401 to requests that are not let in. */
async function serve(t: Test, where: Place, letsIn: (request: IncomingMessage) => boolean): Promise<string> {
  const responder = new HttpResponder({ directory: where.originDirectory })
  // Its own end of a connection must not cross a request: there is one try of each.
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (!letsIn(request)) return void response.writeHead(401).end()
    responder.respond(request, response).catch(() => response.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

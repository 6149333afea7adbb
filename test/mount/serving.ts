/** A mount that serves its images: to curl, and to another parentfs whose origin it is. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeCertificate, makeSignedCertificate, noCertificates } from '../fixtures/certificate.ts'
import { cannotMount, isGone, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { freePort } from '../fixtures/free-port.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || noCertificates
const name = 'a b%ä.raw'
const image = { seed: 19, sizeBytes: 5 * 1024 * 1024 + 17 }

/** Mount by a file of the test's own. @returns its path */
async function mount(t: Test, where: Place, lines: string): Promise<string> {
  const file = join(where.top, 'p.yaml')
  const cache = `cache: { directory: ${where.cacheDirectory}, capacity: 150MiB }`
  const log = `log: { level: debug, file: ${join(where.top, 'log')} }`
  writeFileSync(file, `mountpoint: ${where.mountpoint}\n${cache}\n${log}\n${lines}\n`)
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  return file
}

async function unmount(t: Test, where: Place): Promise<void> {
  const { pid, supervisorPid } = await statusOf(where)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
}

t.test('curl and another mount read what a mount serves, and strangers nothing', { skip }, async t => {
  const [first, second] = [place(t), place(t)]
  writeSample(join(first.originDirectory, name), image)
  const whole = sampleBytes(image, 0, image.sizeBytes)
  const at = (...names: string[]) => join(first.top, ...names)
  for (const directory of ['authority', 'server']) mkdirSync(at(directory))
  const authority = makeCertificate(at('authority'), 'DNS:group.example')
  const server = makeSignedCertificate(at('server'), authority, 'IP:127.0.0.1')
  writeFileSync(at('token'), 'first-token\n', { mode: 0o600 })
  const address = `127.0.0.1:${await freePort()}`
  const tls = `tls: { certificate: ${server.certificate}, key: ${server.key} }`
  const fleet = (token: string) => `fleet: { listen: "${address}", ${tls}, token: { file: ${token} } }`
  await mount(t, first, `origin: { url: "${first.origin}" }\n${fleet(at('token'))}`)
  const url = `https://${address}/v1/images/`
  const curl = (path: string, ...more: string[]) =>
    attempt('curl', '-sS', '--max-time', '50', '--cacert', authority.certificate, ...more, url + path)
  const authorized = ['-H', `@${at('header')}`]
  writeFileSync(at('header'), 'Authorization: Bearer first-token\n')
  const encoded = encodeURIComponent(name)
  t.equal((await curl(encoded, '-o', '/dev/null', '-w', '%{http_code}')).stdout.toString(), '401')
  t.ok((await curl(encoded, ...authorized)).stdout.equals(whole))
  const part = await curl(encoded, ...authorized, '-r', '70000-200000')
  t.ok(part.stdout.equals(whole.subarray(70_000, 200_001)))

  writeFileSync(at('client-token'), 'first-token\n', { mode: 0o600 })
  const origin = `origin: { url: "${url}", ca: ${authority.certificate}, bearer: { file: ${at('client-token')} } }`
  await mount(t, second, origin)
  const path = join(second.mountpoint, name)
  t.ok(readFileSync(path).equals(whole))
  t.same(
    (await statusOf(second)).images.map(each => each.name),
    [name],
  )
  // A worker that is killed: the next one serves on.
  const { pid } = await statusOf(first)
  process.kill(pid, 'SIGKILL')
  await until(async () => (await curl(encoded, ...authorized, '-I')).code === 0, patienceMs, 'the next worker')
  t.ok((await curl(encoded, ...authorized)).stdout.equals(whole))
  // The token is read again by itself, and the settings at a reload.
  writeFileSync(at('token'), 'second-token\n', { mode: 0o600 })
  t.match(await parentfs('reload', first.mountpoint), { code: 0 })
  t.equal((await curl(encoded, ...authorized, '-o', '/dev/null', '-w', '%{http_code}')).stdout.toString(), '401')
  await unmount(t, second)
  await unmount(t, first)
  t.not((await attempt('curl', '-sS', '--max-time', '20', '-k', url)).code, 0, 'nothing listens')
  t.notMatch(execFileSync('cat', [at('log')]).toString(), /(first|second)-token/)
})

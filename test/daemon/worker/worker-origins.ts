/** The origins of a mount, as far as they differ by what the addon can do here. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { WorkerOrigins } from '../../../src/daemon/worker/worker-origins.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { patienceMs } from '../../fixtures/daemon.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

const addon = loadAddon()

/** Open origins at these URLs. @returns the warnings */
async function warningsOf(urls: readonly string[], knowsOpenssl: boolean): Promise<string[]> {
  const logger = keepingLogger()
  const receiver = addon.createReceiver()
  if (!knowsOpenssl) Object.defineProperty(receiver, 'trust', { value: () => null })
  const parts = { addon: { ...addon, createReceiver: () => receiver }, logger, isAwaited: false, refusalOf: () => null }
  const places = urls.map((url, k) => {
    return { directory: `origin-${k}`, settings: originSchema.parse({ url }), readAround: 'fast' as const }
  })
  await new WorkerOrigins(places, parts).close()
  return logger.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
}

t.test('an OpenSSL that the addon does not know is said once, and only where TLS is spoken', async t => {
  const [plain, secure] = ['http://127.0.0.1:9/', 'https://127.0.0.1:9/']
  t.match(await warningsOf([plain, secure, `${secure}b/`], false), [/^the addon does not know the OpenSSL/])
  t.same(await warningsOf([plain], false), [])
  t.same(await warningsOf([secure], true), [], `OpenSSL ${process.versions.openssl} is known`)
})

/** An origin of a directory, whose `certificates` may be missing, where guests wait; the test has the timer. */
function setUp(t: Test, isAwaited: boolean) {
  const directory = t.testdir({ images: { 'a.raw': 'bytes' } })
  const certificates = join(directory, 'trusted.pem')
  const url = pathToFileURL(join(directory, 'images')).href
  const logger = keepingLogger()
  let tick: (() => unknown) | null = null
  const every = (_ms: number, work: () => unknown) => {
    tick = work
    return () => {
      tick = null
    }
  }
  const verify = { verity: 'prefer', certificates }
  mkdirSync(join(directory, 'others'))
  const settings = [
    originSchema.parse({ url, verify, missTimeout: '60s' }),
    originSchema.parse({ url: pathToFileURL(join(directory, 'others')).href }),
  ]
  const places = settings.map((settings, k) => ({ directory: `origin-${k}`, settings, readAround: 'fast' as const }))
  const open = () => {
    const origins = new WorkerOrigins(places, { addon, logger, isAwaited, every, refusalOf: () => null })
    t.teardown(() => origins.close())
    return origins
  }
  const mend = () => writeFileSync(certificates, rootCertificates[0]!)
  return { open, places, logger, mend, certificates, tick: () => tick?.(), isTicking: () => tick !== null }
}

const { signal } = new AbortController()

t.test('at a first mount a file that an origin needs and that is missing is an error', async t => {
  const { open, isTicking } = setUp(t, false)
  t.throws(open, { code: 'invalid-argument', message: /trusted.pem cannot be read/ })
  t.notOk(isTicking())
})

t.test('where guests wait, an origin without its file is down until the file is there', async t => {
  const { open, logger, mend, tick, isTicking } = setUp(t, true)
  const origins = open()
  const [mounted, other] = origins.mounted
  t.same(await other!.origin.list({ signal }), [])
  await t.rejects(mounted!.origin.lookup('a.raw', { signal }), { code: 'origin-unreachable' })
  tick()
  t.ok(isTicking())
  t.equal(logger.lines.filter(({ level }) => level === 'error').length, 1, 'it is said once')
  mend()
  tick()
  t.notOk(isTicking())
  t.match(logger.lines.at(-1), { level: 'info', message: 'the origin is open' })
  const look = () => mounted!.origin.lookup('a.raw', { signal }).catch(() => null)
  await until(async () => (await look())?.sizeBytes === 5, patienceMs, 'an answer')
})

t.test('a read that waits for an origin without its file is asked again when the file is there', async t => {
  const { open, mend, tick } = setUp(t, true)
  const origins = open()
  const { origin, patience } = origins.mounted[0]!
  const image = { id: 'i', origin: origin.url, key: 'a.raw', sizeBytes: 5, validator: '"none"', modifiedMs: 0 }
  const reading = t.rejects(origin.read(image, 0, new Uint8Array(5), { signal }), { code: 'origin-away' })
  await until(() => patience!.availability.state === 'away', patienceMs, 'an origin that is away')
  mend()
  tick()
  await reading
  await t.rejects(origin.read(image, 0, new Uint8Array(5), { signal }), { code: 'image-changed' })
})

t.test('an origin that leaves, and the group that is joined, need no file of another one', async t => {
  const { open, places, mend, certificates } = setUp(t, true)
  mend()
  const origins = open()
  rmSync(certificates)
  t.throws(() => origins.change(places), { code: 'invalid-argument' }, 'a reload says so')
  origins.remove('origin-1')
  t.equal(origins.mounted.length, 1)
  t.match(await origins.mounted[0]!.origin.lookup('a.raw', { signal }), { sizeBytes: 5 })
})

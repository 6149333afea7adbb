/** The origins of a mount, as far as they differ by what the addon can do here. */
import t from 'tap'
import { originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { WorkerOrigins } from '../../../src/daemon/worker/worker-origins.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const addon = loadAddon()

/** Open origins at these URLs. @returns the warnings */
async function warningsOf(urls: readonly string[], knowsOpenssl: boolean): Promise<string[]> {
  const logger = keepingLogger()
  const receiver = addon.createReceiver()
  if (!knowsOpenssl) Object.defineProperty(receiver, 'trust', { value: () => null })
  const parts = { addon: { ...addon, createReceiver: () => receiver }, logger, refusalOf: () => null }
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

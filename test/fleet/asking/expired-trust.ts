/** Certificates and tokens of the group that end while members ask each other: a refusal, and answers again after it. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OwnTime } from '../../../src/async/own-time.ts'
import type { Image } from '../../../src/base/image.ts'
import { MemberClient, type MemberTrust } from '../../../src/fleet/asking/member-client.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import {
  makeCertificate,
  makeEndingCertificate,
  makeSignedCertificate,
  noCertificates,
  noEndings,
} from '../../fixtures/certificate.ts'
import { openServing } from '../../fixtures/serving.ts'
import { until } from '../../fixtures/until.ts'

const addon = loadAddon()
const blockBytes = 4_096
const patienceMs = 60_000
/** The life of a certificate here: connections are made well within it, also on a busy machine. */
const lifeMs = 10_000

async function askerOf(t: Test, url: string, image: Image, trust: Partial<MemberTrust>) {
  const sumOf = (block: Uint8Array) => addon.crc32c(block)
  const none = { ca: null, certificate: null, key: null, token: null }
  const client = new MemberClient({
    url,
    ownId: null,
    trust: { ...none, ...trust },
    blockBytes,
    time: new OwnTime(),
    sumOf,
  })
  t.teardown(() => client.close())
  const signal = new AbortController().signal
  return async () => {
    const target = Buffer.alloc(blockBytes)
    const outcome = await client.ask(
      { image, offset: 0, target, rank: 0, hop: 1, fill: true },
      { signal, headMsMax: 20_000 },
    )
    return outcome.kind === 'wrong' ? outcome.why : outcome.kind
  }
}

t.test(
  'a certificate that ends while it is in use is refused, and a new one is not',
  { skip: noCertificates || noEndings },
  async t => {
    const directory = t.testdir({ authority: {}, server: {}, ending: {}, renewed: {} })
    const at = (name: string) => join(directory, name)
    const authority = makeCertificate(at('authority'), 'DNS:group.example')
    const server = makeSignedCertificate(at('server'), authority, 'IP:127.0.0.1')
    const { service, served } = await openServing(t, { tls: { ca: authority.certificate, ...server }, token: null })
    const image = await served.byName('a', { signal: new AbortController().signal })
    const url = `https://127.0.0.1:${service.port}`
    const ca = readFileSync(authority.certificate, 'utf8')
    const trustOf = ({ certificate, key }: { readonly certificate: string; readonly key: string }) => ({
      ca,
      certificate: readFileSync(certificate, 'utf8'),
      key: readFileSync(key, 'utf8'),
    })
    const ending = makeEndingCertificate(at('ending'), authority, lifeMs, 'DNS:host.example')
    const asks = await askerOf(t, url, image, trustOf(ending))
    t.equal(await asks(), 'bytes')
    await until(async () => (await asks()) !== 'bytes', patienceMs, 'the end of the certificate')
    t.match(await asks(), /status 401/, 'on the same connection')
    mkdirSync(at('again'), { recursive: true })
    const renewed = await askerOf(
      t,
      url,
      image,
      trustOf(makeSignedCertificate(at('renewed'), authority, 'DNS:host.example')),
    )
    t.equal(await renewed(), 'bytes')
  },
)

t.test('a token that is another from now on: the old one is refused, the new one is taken', async t => {
  let [wanted, own] = ['first-token', 'first-token']
  const { service, served } = await openServing(t, { token: async () => wanted })
  const image = await served.byName('a', { signal: new AbortController().signal })
  const asks = await askerOf(t, `http://127.0.0.1:${service.port}`, image, { token: async () => own })
  t.equal(await asks(), 'bytes')
  wanted = 'second-token'
  t.match(await asks(), /status 401/, 'on the same connection')
  own = wanted
  t.equal(await asks(), 'bytes')
})

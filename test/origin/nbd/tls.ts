/** TLS with real NBD servers: certificates of both sides, pre-shared keys, and nothing in the clear instead. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { tlsDefault, tlsOptionsOf } from '../../../src/origin/nbd/tls-options.ts'
import { makeCertificate, makeSignedCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { sampleBytes, writeSample } from '../../fixtures/images.ts'
import { noNbdkit, noQemuNbd, startNbdkit, startQemuNbd } from '../../fixtures/nbd-server.ts'

const sample = { seed: 31, sizeBytes: 1024 * 1024, dataShare: 1 }
const calls = { concurrencyMax: 8, callMsMax: 30_000, allowMutable: true }
const key = '0123456789abcdef0123456789abcdef'
const skip = noNbdkit || noQemuNbd || noCertificates

/** An image, and certificates of a server and of a client in the files that both have. */
function files(t: Test) {
  const top = t.testdir()
  const place = (name: string) => {
    mkdirSync(join(top, name))
    return join(top, name)
  }
  const [authority, otherAuthority] = [makeCertificate(place('ca'), 'DNS:ca'), makeCertificate(place('oca'), 'DNS:ca')]
  const server = makeSignedCertificate(place('s'), authority, 'DNS:localhost', 'IP:127.0.0.1')
  const client = makeSignedCertificate(place('c'), authority, 'DNS:vmhost')
  const stranger = makeSignedCertificate(place('x'), otherAuthority, 'DNS:vmhost')
  const directory = (name: string, ca: string, own: { certificate: string; key: string } | null, role: string) => {
    const path = join(top, name)
    mkdirSync(path)
    copyFileSync(ca, join(path, 'ca-cert.pem'))
    if (own === null) return path
    copyFileSync(own.certificate, join(path, `${role}-cert.pem`))
    copyFileSync(own.key, join(path, `${role}-key.pem`))
    return path
  }
  writeSample(join(top, 'a.img'), sample)
  const psk = join(top, 'keys.psk')
  writeFileSync(psk, `somebody:00112233\nparents:${key}\n`, { mode: 0o600 })
  return {
    top,
    image: join(top, 'a.img'),
    psk,
    serverSide: directory('server', authority.certificate, server, 'server'),
    clientSide: directory('client', authority.certificate, client, 'client'),
    withoutProof: directory('without', authority.certificate, null, 'client'),
    withWrongProof: directory('wrong', authority.certificate, stranger, 'client'),
    withOtherAuthority: directory('other', otherAuthority.certificate, client, 'client'),
  }
}

/** The same place in TLS. */
function secure(url: string, parameters: string, user = ''): string {
  const [place, query] = url.replace(/^nbd/, 'nbds').split('?')
  const words = [query, parameters].filter(Boolean).join('&')
  return `${place!.replace('://', `://${user}`)}${words === '' ? '' : `?${words}`}`
}

async function canBeRead(t: Test, url: string, options: object = {}): Promise<void> {
  const origin = new NbdOrigin(url, { ...calls, ...options })
  t.teardown(() => origin.close())
  const { signal } = new AbortController()
  const image = identify(await origin.lookup('default', { signal }))
  const target = new Uint8Array(sample.sizeBytes)
  await origin.read(image, 0, target, { signal })
  t.ok(sampleBytes(sample, 0, sample.sizeBytes).equals(target), url)
  t.notMatch(origin.url, /@|tls|psk/)
}

/** The server says why, or hangs up. */
const hungUp = /^(access-denied|origin-unreachable)$/

async function isRefused(t: Test, url: string, code: string | RegExp, options: object = {}): Promise<void> {
  const origin = new NbdOrigin(url, { ...calls, ...options })
  t.teardown(() => origin.close())
  const { signal } = new AbortController()
  const error = await origin.lookup('default', { signal }).then(
    () => null,
    (error: unknown) => error,
  )
  t.match(error, { code }, `${url}: ${error}`)
  t.notMatch(String(error), key)
  if (code === hungUp) t.match(String(error), /another certificate or key/)
}

t.test('certificates, of the server and of the client', { skip }, async t => {
  const { image, serverSide, clientSide, ...others } = files(t)
  const words = ['--tls=require', `--tls-certificates=${serverSide}`]
  const open = await startNbdkit(t, [...words, 'file', image])
  const careful = await startNbdkit(t, [...words, '--tls-verify-peer', 'file', image], { unix: true })
  const trusting = (directory: string) => `tls-certificates=${directory}`
  await canBeRead(t, secure(open.url, trusting(others.withoutProof)))
  await canBeRead(t, secure(careful.url, trusting(clientSide)))
  await isRefused(t, secure(careful.url, trusting(others.withoutProof)), hungUp)
  await isRefused(t, secure(careful.url, trusting(others.withWrongProof)), hungUp)
  await isRefused(t, secure(open.url, ''), 'origin-unreachable')
  await isRefused(t, secure(open.url, trusting(others.withOtherAuthority)), 'origin-unreachable')
  await isRefused(t, secure(open.url, `${trusting(clientSide)}&tls-hostname=elsewhere`), 'origin-unreachable')
  await canBeRead(t, secure(open.url, 'tls-verify-peer=0'))
  await isRefused(t, open.url, 'access-denied')
  await isRefused(t, secure(open.url, trusting('/nowhere')), 'access-denied')
})

t.test('qemu-nbd with certificates', { skip }, async t => {
  const { image, serverSide, clientSide, withoutProof } = files(t)
  const credentials = `tls-creds-x509,id=t,endpoint=server,dir=${serverSide},verify-peer=yes`
  const server = await startQemuNbd(t, ['--object', credentials, '--tls-creds', 't', '-f', 'raw', '-r', image])
  await canBeRead(t, secure(server.url, `tls-certificates=${clientSide}`))
  await isRefused(t, secure(server.url, `tls-certificates=${withoutProof}`), hungUp)
})

t.test('pre-shared keys', { skip }, async t => {
  const { top, image, psk, serverSide } = files(t)
  const server = await startNbdkit(t, ['--tls=require', `--tls-psk=${psk}`, 'file', image])
  const other = join(top, 'other.psk')
  writeFileSync(other, `parents:${key.replace('0', '1')}\n`, { mode: 0o600 })
  const open = join(top, 'open.psk')
  writeFileSync(open, `parents:${key}\n`, { mode: 0o644 })
  await canBeRead(t, secure(server.url, `tls-psk-file=${psk}`, 'parents@'))
  await canBeRead(t, secure(server.url, ''), { tls: { username: 'parents', pskKey: { value: async () => key } } })
  await isRefused(t, secure(server.url, `tls-psk-file=${other}`, 'parents@'), hungUp)
  await isRefused(t, secure(server.url, `tls-psk-file=${psk}`, 'nobody@'), 'access-denied')
  await isRefused(t, secure(server.url, `tls-psk-file=${open}`, 'parents@'), 'access-denied')
  await t.test('a server with a certificate in place of the key is not believed', async t => {
    const posing = await startNbdkit(t, ['--tls=require', `--tls-certificates=${serverSide}`, 'file', image])
    await isRefused(t, secure(posing.url, `tls-psk-file=${psk}`, 'parents@'), 'origin-unreachable')
  })
})

t.test('TLS 1.2 will do, with certificates and with keys', { skip }, async t => {
  const { image, serverSide, clientSide, psk } = files(t)
  const before = tls.DEFAULT_MAX_VERSION
  tls.DEFAULT_MAX_VERSION = 'TLSv1.2'
  t.teardown(() => {
    tls.DEFAULT_MAX_VERSION = before
  })
  const words = ['--tls=require', '--tls-verify-peer', `--tls-certificates=${serverSide}`]
  const certified = await startNbdkit(t, [...words, 'file', image])
  await canBeRead(t, secure(certified.url, `tls-certificates=${clientSide}`))
  const keyed = await startNbdkit(t, ['--tls=require', `--tls-psk=${psk}`, 'file', image])
  await canBeRead(t, secure(keyed.url, `tls-psk-file=${psk}`, 'parents@'))
  await isRefused(t, secure(certified.url, `tls-psk-file=${psk}`, 'parents@'), /^(access-denied|origin-unreachable)$/)
})

t.test('a certificate that is trusted does not stand for a key', async t => {
  const { checkServerIdentity, ca } = await tlsOptionsOf(
    { ...tlsDefault, username: 'a', pskKey: { value: async () => key } },
    'host',
  )
  const certificate = { raw: Buffer.from('any') } as tls.PeerCertificate
  t.match(checkServerIdentity?.('host', certificate), { message: /did not prove/ })
  t.same(ca, [], 'and none is trusted')
})

t.test('a server without TLS is refused, not read in the clear', { skip }, async t => {
  const { image, clientSide } = files(t)
  const server = await startNbdkit(t, ['--tls=off', 'file', image])
  await isRefused(t, secure(server.url, `tls-certificates=${clientSide}`), 'origin-unsupported')
})

/** Settings of NBD origins, in the file and in the URL. */
import t from 'tap'
import { checkNbdFiles } from '../../../src/daemon/config/nbd-settings.ts'
import { originOptionsOf, originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const hex = '0123456789abcdef'.repeat(4)

/** The complaints about an origin. */
function complaintsAbout(origin: object): string {
  const result = originSchema.safeParse(origin)
  return result.success ? '' : result.error.issues.map(({ path, message }) => `${path}: ${message}`).join('\n')
}

t.test('parts of the URL that say how a server is trusted are settings', async t => {
  const url = 'nbds://parents@host/?tls-psk-file=/k&tls-verify-peer=1'
  const settings = originSchema.parse({ url, digests: { a: `sha256:${hex.toUpperCase()}` } })
  t.match(settings, { kind: 'nbd', url: 'nbds://host/', tlsUsername: 'parents', tlsPskFile: '/k', tlsVerifyPeer: true })
  const { nbd } = originOptionsOf(settings, keepingLogger())
  t.same(nbd, {
    allowMutable: false,
    digests: { a: { algorithm: 'sha-256', hex } },
    tls: { certificates: null, pskFile: '/k', pskKey: null, username: 'parents', hostname: null, verifyPeer: true },
  })
  t.equal(complaintsAbout({ url, tlsPskFile: '/k' }), '')
  t.match(complaintsAbout({ url, tlsPskFile: '/other' }), /url: .*tlsPskFile says something else/)
})

t.test('a key comes from where secrets are', async t => {
  process.env.PARENTFS_TEST_KEY = 'c0ffee00'
  t.teardown(() => delete process.env.PARENTFS_TEST_KEY)
  const settings = originSchema.parse({ url: 'nbds://host/', tlsPskKey: { env: 'PARENTFS_TEST_KEY' } })
  t.notMatch(JSON.stringify(settings), /c0ffee/)
  const { nbd } = originOptionsOf(settings, keepingLogger())
  t.equal(await nbd.tls!.pskKey!.value(), 'c0ffee00')
  t.match(complaintsAbout({ url: 'nbds://host/', tlsPskKey: 'c0ffee00' }), /a secret is not written here/)
  const both = { url: 'nbds://host/', tlsPskKey: { env: 'A' }, tlsPskFile: '/k' }
  t.match(complaintsAbout(both), /tlsPskKey: .* do not go together/)
})

t.test('what is no digest, no name and no URL is refused', async t => {
  const url = 'nbd://host/'
  for (const digests of [{ a: hex }, { a: `md5:${hex}` }, { a: `sha512:${hex}` }, { 'a/b': `sha256:${hex}` }, { a: 7 }])
    t.match(complaintsAbout({ url, digests }), /digests/, JSON.stringify(digests))
  t.match(complaintsAbout({ url, tlsUsername: 'two words' }), /tlsUsername/)
  t.match(complaintsAbout({ url: 'nbds://a:secret@host/' }), /^url: (?!.*secret)/)
  t.match(complaintsAbout({ url: 'nbd+unix:///' }), /absolute path of a socket/)
  t.match(complaintsAbout({ url, cephId: 'a' }), /cephId/)
})

t.test('files for TLS are looked at, and those of a server without it are not', async t => {
  const directory = t.testdir({ 'ca-cert.pem': 'any', 'client-cert.pem': 'any' })
  const check = (origin: object) => {
    const settings = originSchema.parse(origin)
    if (settings.kind !== 'nbd') throw new Error('it is no NBD server')
    return checkNbdFiles(settings, keepingLogger())
  }
  await t.rejects(check({ url: 'nbds://host/', tlsCertificates: directory }), {
    code: 'access-denied',
    message: /client-cert.pem and client-key.pem go together/,
  })
  await t.rejects(check({ url: 'nbds://a@host/', tlsPskFile: '/nowhere' }), { message: /no key of the user "a"/ })
  await check({ url: 'nbds://host/', tlsPskKey: { command: ['/bin/false'] } })
  await check({ url: 'nbd://host/', tlsCertificates: '/nowhere' })
})

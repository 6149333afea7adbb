/** Settings of proofs: what is refused, and what the origin gets. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import t from 'tap'
import { originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { verifyOptionsOf } from '../../../src/daemon/config/verify-settings.ts'

const url = 'http://host/'
const rootHash = 'Ab'.repeat(32)
const [first, second] = [`${rootCertificates[0]!}\n`, `${rootCertificates[1]!}\n`]

/** The complaints about `verify`. */
function complaintsAbout(verify: unknown): string {
  const result = originSchema.safeParse({ url, verify })
  return result.success ? '' : result.error.issues.map(({ path, message }) => `${path}: ${message}`).join('\n')
}

function optionsOf(verify: unknown) {
  return verifyOptionsOf(originSchema.parse({ url, verify }).verify)
}

t.test('what is refused', async t => {
  t.equal(complaintsAbout({ verity: 'require', rootHash, images: { a: { verity: 'off' } } }), '')
  t.match(complaintsAbout('require'), /verify is \{verity: require, prefer or off/)
  t.match(complaintsAbout({ verity: 'maybe' }), /there is require, prefer, off/)
  t.match(complaintsAbout({ rootHash: 'ab'.repeat(31) }), /64 or 128 hex digits/)
  t.match(complaintsAbout({ rootHash: 1e63 }), /a root hash is a text: put it in quotes/)
  t.match(complaintsAbout({ certificates: 'relative.pem' }), /is not an absolute path/)
  t.match(complaintsAbout({ images: { a: { verity: 'maybe' } } }), /there is require, prefer, off/)
  t.match(complaintsAbout({ images: { a: 'require' } }), /images,a: /)
})

t.test('an image has the settings of its origin, but for its root hash', async t => {
  const options = optionsOf({ verity: 'require', rootHash, images: { a: {}, b: { verity: 'off', rootHash } } })
  const hex = rootHash.toLowerCase()
  t.match(options, { verity: 'require', rootHash: hex, certificates: [] })
  t.same(options?.images.get('a'), { verity: 'require', rootHash: null, certificates: [] })
  t.same(options?.images.get('b'), { verity: 'off', rootHash: hex, certificates: [] })
  t.match(optionsOf({}), { verity: 'prefer' })
  t.equal(optionsOf(undefined), null)
})

t.test('every certificate of a file has to be one', async t => {
  const directory = t.testdir()
  const at = (name: string, text: string) => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  const good = at('good.pem', `of two\n${first}${second}`)
  t.match(optionsOf({ certificates: good }), { certificates: [`of two\n${first}${second}`] })
  for (const [certificates, message] of [
    [join(directory, 'none.pem'), /none.pem cannot be read/],
    [at('key.pem', '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n'), /has no certificate in PEM/],
    [at('broken.pem', broken), /broken.pem: certificate 1 cannot be read/],
    [at('second.pem', first + broken), /second.pem: certificate 2 cannot be read/],
    [at('cut.pem', first + second.slice(0, 300)), /cut.pem: certificate 2 cannot be read/],
  ] as const) {
    t.throws(() => optionsOf({ certificates: [good, certificates] }), { code: 'invalid-argument', message })
    t.throws(() => optionsOf({ images: { a: { certificates } } }), { code: 'invalid-argument', message })
  }
})

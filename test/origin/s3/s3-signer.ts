/** The signer of requests for a bucket: how long a head holds, and what it hears of refusals. */
import t from 'tap'
import type { AwsKeys } from '../../../src/origin/s3/credentials/aws-keys.ts'
import { signatureMsMax, skewMsMin } from '../../../src/origin/s3/limits.ts'
import { S3Signer } from '../../../src/origin/s3/s3-signer.ts'

const keysOf = (id: string, sessionToken: string | null = null): AwsKeys => ({
  accessKeyId: id,
  secretAccessKey: 'secret',
  sessionToken,
  expiresMs: null,
})

const get = { method: 'GET', url: new URL('http://127.0.0.1/bucket/key') } as const

/** A signer with clocks that the test turns, and keys that it changes. */
function signerOf({ requesterPays = false } = {}) {
  const world = { nowMs: Date.UTC(2026, 0, 1), keys: keysOf('one'), freshMs: Number.POSITIVE_INFINITY, renewals: 0 }
  const credentials = {
    keys: async () => world.keys,
    renew: async () => {
      world.renewals++
      return world.keys
    },
    get freshMs() {
      return world.freshMs
    },
  }
  const now = () => world.nowMs
  return { world, signer: new S3Signer({ credentials, region: 'r-1', requesterPays, now, monotonic: now }) }
}

const refusal = (code: string | null, headers = {}, region: string | null = null) => ({
  status: 403,
  headers,
  error: code === null ? null : { code, message: '', region },
})

t.test('one head serves an image for some minutes, and is then made anew', async t => {
  const { world, signer } = signerOf()
  const first = await signer.authorize(get)
  t.equal(first.freshMs, signatureMsMax)
  world.nowMs += signatureMsMax - 1
  const later = await signer.authorize(get)
  t.equal(later.headers, first.headers)
  t.equal(later.freshMs, 1)
  world.nowMs += 1
  const last = await signer.authorize(get)
  t.not(last.headers.authorization, first.headers.authorization)
  t.match(last.headers, { 'x-amz-date': '20260101T000500Z', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' })
  const other = await signer.authorize({ ...get, url: new URL('http://127.0.0.1/bucket/other') })
  t.not(other.headers.authorization, last.headers.authorization, 'each URL has its own')
})

t.test('a head does not outlive its keys', async t => {
  const { world, signer } = signerOf()
  world.freshMs = 2_000
  t.equal((await signer.authorize(get)).freshMs, 2_000)
})

t.test('everything of AWS that is sent is signed', async t => {
  const { world, signer } = signerOf({ requesterPays: true })
  world.keys = keysOf('one', 'token')
  const { headers } = await signer.authorize({ ...get, method: 'HEAD' })
  const names = [
    'x-amz-checksum-mode',
    'x-amz-content-sha256',
    'x-amz-date',
    'x-amz-request-payer',
    'x-amz-security-token',
  ]
  t.match(headers.authorization, new RegExp(`SignedHeaders=host;${names.join(';')},`))
  t.match(headers, {
    'x-amz-request-payer': 'requester',
    'x-amz-security-token': 'token',
    'x-amz-checksum-mode': 'ENABLED',
  })
})

t.test('keys that are refused are renewed; others that came meanwhile are taken', async t => {
  const { world, signer } = signerOf()
  const sent = await signer.authorize(get)
  t.equal(await signer.refused(get, sent, refusal('ExpiredToken')), false, 'there are no others')
  world.keys = keysOf('one', 'new token')
  t.equal(await signer.refused(get, sent, refusal('ExpiredToken')), true)
  t.equal(world.renewals, 2)
  t.equal((await signer.authorize(get)).headers['x-amz-security-token'], 'new token')
  t.equal(await signer.refused(get, sent, refusal('ExpiredToken')), true, 'others were sent the old ones, too')
  t.equal(await signer.refused(get, await signer.authorize(get), refusal('AccessDenied')), false)
  t.equal(world.renewals, 3, 'what is denied for good asks for no keys')
  world.keys = keysOf('two')
  t.equal(await signer.refused(get, await signer.authorize(get), refusal(null)), true, 'it does not say why')
})

t.test('the region that a refusal names is signed for from then on', async t => {
  const { signer } = signerOf()
  const sent = await signer.authorize(get)
  t.equal(await signer.refused(get, sent, refusal('AuthorizationHeaderMalformed', {}, 'r-2')), true)
  t.match((await signer.authorize(get)).headers.authorization, /\/r-2\/s3\/aws4_request/)
  t.equal(await signer.refused(get, sent, refusal('PermanentRedirect', { 'x-amz-bucket-region': 'r-3' })), true)
  t.equal(signer.region, 'r-3')
  t.equal(await signer.refused(get, sent, refusal('PermanentRedirect', { 'x-amz-bucket-region': 'r-3' })), true)
  const latest = await signer.authorize(get)
  for (const region of ['r-3', 'a/b', 'x'.repeat(65), 'r.evil.example']) {
    t.equal(await signer.refused(get, latest, refusal('PermanentRedirect', { 'x-amz-bucket-region': region })), false)
  }
})

t.test('a clock that is off is corrected by the date of the server', async t => {
  const { world, signer } = signerOf()
  const sent = await signer.authorize(get)
  const dated = (ms: number) => refusal('RequestTimeTooSkewed', { date: new Date(world.nowMs + ms).toUTCString() })
  t.equal(await signer.refused(get, sent, dated(skewMsMin - 1_000)), false, 'that is not why')
  t.equal(await signer.refused(get, sent, dated(3_600_000)), true)
  t.equal((await signer.authorize(get)).headers['x-amz-date'], '20260101T010000Z')
  t.equal(await signer.refused(get, sent, dated(3_600_000)), true, 'another one was sent before that was known')
  t.equal(await signer.refused(get, await signer.authorize(get), dated(3_600_000)), false, 'it is known by now')
})

t.test('an anonymous reader signs nothing', async t => {
  const signer = new S3Signer({ credentials: null, region: 'r', requesterPays: false })
  t.same(await signer.authorize(get), { headers: {}, query: '', freshMs: signatureMsMax })
  t.equal(await signer.refused(get, await signer.authorize(get), refusal('AccessDenied')), false)
})

/** Contents of answers of S3 servers: errors, digests, versions, pages of listings. */
import t from 'tap'
import { shownError } from '../../../src/origin/http/protocol/server-error.ts'
import { checksumIn, md5In } from '../../../src/origin/s3/s3-digest.ts'
import { s3ErrorIn } from '../../../src/origin/s3/s3-error.ts'
import { pageIn } from '../../../src/origin/s3/s3-listing.ts'
import { pinnedFacts, versionOfValidator } from '../../../src/origin/s3/s3-version.ts'

t.test('an error is its code, its message and its region', async t => {
  const body =
    '<Error><Code>AuthorizationHeaderMalformed</Code><Message>it is &lt;so&gt;</Message><Region>eu-1</Region></Error>'
  t.same(s3ErrorIn(body), { code: 'AuthorizationHeaderMalformed', message: 'it is <so>', region: 'eu-1' })
  t.same(s3ErrorIn('<ErrorResponse><Error><Code>A</Code></Error></ErrorResponse>'), {
    code: 'A',
    message: '',
    region: null,
  })
  t.same(s3ErrorIn('<Error><Code>A</Code><Mess'), { code: 'A', message: '', region: null }, 'it was cut')
  for (const none of [
    '',
    '<html></html>',
    '{}',
    '<Error><Code>\u001b[2J</Code></Error>',
    '<Error><Code></Code></Error>',
  ]) {
    t.equal(s3ErrorIn(none), null, none)
  }
  t.equal(s3ErrorIn('<Error><Code>A</Code><Region>a.evil/</Region></Error>')?.region, null)
  const long = shownError({ code: 'A', message: `\n${'x'.repeat(1000)}`, region: null })
  t.equal(long.length, 300)
  t.match(long, /^A: \\u000ax/)
})

t.test('a digest is that of the whole object alone', async t => {
  const sha256 = Buffer.alloc(32, 7)
  const checksum = { 'x-amz-checksum-sha256': sha256.toString('base64') }
  t.same(checksumIn(checksum), { algorithm: 'sha-256', hex: sha256.toString('hex') })
  t.equal(checksumIn({ 'x-amz-checksum-sha256': `${sha256.toString('base64')}-3` }), null)
  t.equal(checksumIn({ ...checksum, 'x-amz-checksum-type': 'COMPOSITE' }), null)
  t.equal(checksumIn({ 'x-amz-checksum-sha256': 'AAAA' }), null)
  t.equal(checksumIn({}), null)
  const etag = `"${'AB'.repeat(16)}"`
  t.same(md5In({ etag }), { algorithm: 'md5', hex: 'ab'.repeat(16) })
  t.same(md5In({ etag, 'x-amz-server-side-encryption': 'AES256' })?.algorithm, 'md5')
  t.equal(md5In({ etag, 'x-amz-server-side-encryption': 'aws:kms' }), null)
  t.equal(md5In({ etag, 'x-amz-server-side-encryption-customer-algorithm': 'AES256' }), null)
  for (const other of [`"${'ab'.repeat(16)}-2"`, `W/${etag}`, 'ab', undefined]) t.equal(md5In({ etag: other }), null)
})

t.test('a version id is a part of the validator', async t => {
  const facts = { origin: 's3://b/', key: 'k', sizeBytes: 1, validator: '"e"', modifiedMs: 0 }
  const pinned = pinnedFacts(facts, { 'x-amz-version-id': 'v.1' })
  t.equal(pinned.validator, '"e" v.1')
  t.same(versionOfValidator(pinned.validator), { etag: '"e"', id: 'v.1' })
  t.same(versionOfValidator('"e"'), { etag: '"e"', id: null })
  const date = 'Sun, 22 Nov 2026 00:00:00 GMT'
  t.same(versionOfValidator(date), { etag: date, id: null })
  for (const id of ['null', '', 'a b', 'x'.repeat(1025)]) {
    t.equal(pinnedFacts(facts, { 'x-amz-version-id': id }), facts, id)
  }
})

t.test('a page has its keys, decoded, and the token of the next', async t => {
  const page = (inner: string) => pageIn(`<ListBucketResult>${inner}</ListBucketResult>`)
  const contents = (key: string) => `<Contents><Key>${key}</Key><Owner><ID>Key</ID></Owner></Contents>`
  t.same(page(`<IsTruncated>false</IsTruncated>${contents('a%20b')}`), { keys: ['a%20b'], next: null })
  const url = '<EncodingType>url</EncodingType>'
  const keys = contents('a+b%2B%C3%A9%28') + contents('%FF') + contents('%')
  const next = '<NextContinuationToken>t&amp;1</NextContinuationToken>'
  t.same(page(`${url}<IsTruncated>true</IsTruncated>${next}${keys}`), { keys: ['a b+é('], next: 't&1' })
  for (const wrong of ['', contents('a'), '<IsTruncated>true</IsTruncated>', '<IsTruncated>maybe</IsTruncated>']) {
    t.throws(() => page(wrong), Error, wrong)
  }
  t.throws(() => pageIn('<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a'), Error, 'it was cut')
})

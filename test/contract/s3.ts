/**
 * Buckets of a real S3 server: the contract of an origin, and what such servers do on demand.
 */
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import type { Origin } from '../../src/origin/contract/origin.ts'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { S3Origin } from '../../src/origin/s3/s3-origin.ts'
import { MirroringOrigin } from '../fixtures/ceph/mirror.ts'
import { noHoles } from '../fixtures/extents.ts'
import { type S3Account, S3Client } from '../fixtures/s3-client.ts'
import { originContract } from './origin.ts'

const signal = new AbortController().signal

/** Characters that clients of S3 have encoded in different ways. */
const oddKeys = ['a (1).img', 'b+c=d&e.img', 'é/ü ☃.img', "f'g!*~.img", 'h%2Fi.img', 'deep/er/j,;:@$.img']

/** @param account of a server that runs for as long as the tests of this */
export function s3Contract(server: string, account: () => S3Account): void {
  originContract(
    `a bucket of ${server}`,
    async directory => {
      const client = new S3Client(account(), 'contract')
      await client.create()
      await client.put('golden/', '')
      await client.put('other.img', 'beside the prefix')
      const origin = openOrigin(urlOf(client, 'golden'), { addon: noHoles, options: { s3: optionsOf(client) } })
      return new MirroringOrigin(origin, directory, {
        put: (name, path) => client.putFile(`golden/${name}`, path),
        remove: name => client.remove(`golden/${name}`),
      })
    },
    { namesMd5: true },
  )

  t.test(`buckets of ${server}`, async t => {
    await t.test('keys with any character are listed, looked up and read', async t => await anyKey(t, account()))
    await t.test('an image that is overwritten stays readable where versions are kept', async t => {
      await overwritten(t, account())
    })
    await t.test('an image of several parts is one image', async t => await parts(t, account()))
    await t.test('wrong keys and unknown buckets say so', async t => await refusals(t, account()))
  })
}

async function anyKey(t: Test, account: S3Account): Promise<void> {
  const client = new S3Client(account, 'any-key')
  await client.create()
  // More than one page of a listing.
  const many = Array.from({ length: 1_010 }, (_, at) => `many/${at}.img`)
  for (let at = 0; at < many.length; at += 16)
    await Promise.all(many.slice(at, at + 16).map(key => client.put(key, '')))
  for (const key of oddKeys) await client.put(key, `this is ${key}`)
  const origin = opened(t, client)
  t.same((await origin.list({ signal }))?.slice().sort(), [...many, ...oddKeys].map(shownKey).sort())
  for (const key of oddKeys) t.equal(await textOf(origin, shownKey(key)), `this is ${key}`)
  const below = opened(t, client, 'é')
  t.same(await below.list({ signal }), ['ü ☃.img'])
  t.equal(await textOf(below, 'ü ☃.img'), 'this is é/ü ☃.img')
}

/** A percent sign that would be taken for another character is written by its own. */
function shownKey(key: string): string {
  return key.replace('%2F', '%252F')
}

async function overwritten(t: Test, account: S3Account): Promise<void> {
  const client = new S3Client(account, 'versions')
  await client.create({ isVersioned: true })
  await client.put('a.img', 'first')
  const origin = opened(t, client)
  const first = identify(await origin.lookup('a.img', { signal }))
  t.match(first.validator, /^"[0-9a-f]{32}" \S+$/, 'the version is part of the validator')
  await client.put('a.img', 'later')
  const target = new Uint8Array(5)
  await origin.read(first, 0, target, { signal })
  t.equal(Buffer.from(target).toString(), 'first')
  t.same(await origin.digest(first, { signal }), null, 'what lies beside it is about the newest')
  const later = identify(await origin.lookup('a.img', { signal }))
  t.not(later.id, first.id)
  await origin.read(later, 0, target, { signal })
  t.equal(Buffer.from(target).toString(), 'later')
  await client.remove('a.img')
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'not-found' })
  await origin.read(first, 0, target, { signal })
  t.equal(Buffer.from(target).toString(), 'first', 'a mark of deletion deletes nothing')
  await client.remove('a.img', { versionId: first.validator.split(' ')[1]! })
  await t.rejects(origin.read(first, 0, target, { signal }), { code: 'image-changed' })
}

async function parts(t: Test, account: S3Account): Promise<void> {
  const client = new S3Client(account, 'parts')
  await client.create()
  const [head, tail] = [new Uint8Array(5 * 2 ** 20).fill(7), new Uint8Array(1000).fill(9)]
  await client.putParts('a.img', [head, tail])
  const origin = opened(t, client)
  const image = identify(await origin.lookup('a.img', { signal }))
  t.match(image, { sizeBytes: head.length + tail.length, validator: /^"[0-9a-f]{32}-2"$/ })
  const target = new Uint8Array(200)
  await origin.read(image, head.length - 100, target, { signal })
  t.ok(target.subarray(0, 100).every(byte => byte === 7) && target.subarray(100).every(byte => byte === 9))
  t.equal(await origin.digest(image, { signal }), null, 'it is no MD5 of the whole')
  await client.put('b.img', 'whole')
  const whole = identify(await origin.lookup('b.img', { signal }))
  const hex = createHash('md5').update('whole').digest('hex')
  t.same(await origin.digest(whole, { signal }), { algorithm: 'md5', hex })
}

async function refusals(t: Test, account: S3Account): Promise<void> {
  const client = new S3Client(account, 'refusals')
  await client.create()
  await client.put('a.img', 'a')
  const wrong = opened(t, new S3Client({ ...account, secretKey: 'not-the-secret' }, 'refusals'))
  const refused = { code: 'access-denied', message: /\(SignatureDoesNotMatch/ }
  await t.rejects(wrong.lookup('a.img', { signal }), refused)
  await t.rejects(wrong.list({ signal }), refused)
  const unknown = opened(t, new S3Client(account, 'no-such-bucket'))
  await t.rejects(unknown.list({ signal }), { code: 'origin-protocol', message: /\(NoSuchBucket/ })
  await t.rejects(opened(t, client).lookup('b.img', { signal }), { code: 'not-found', message: /\(NoSuchKey/ })
  const options = { ...optionsOf(client), anonymous: true }
  const anonymous = new S3Origin(urlOf(client), options)
  t.teardown(() => anonymous.close())
  // Swift's answer is 400, and Ceph's is 403.
  await t.rejects(anonymous.lookup('a.img', { signal }), /the server answered 40[03]/)
}

function opened(t: Test, client: S3Client, prefix = ''): Origin {
  const origin = new S3Origin(urlOf(client, prefix), optionsOf(client))
  t.teardown(() => origin.close())
  return origin
}

async function textOf(origin: Origin, key: string): Promise<string> {
  const image = identify(await origin.lookup(key, { signal }))
  const target = new Uint8Array(image.sizeBytes)
  await origin.read(image, 0, target, { signal })
  return Buffer.from(target).toString()
}

export function urlOf({ bucket, account }: S3Client, prefix = ''): string {
  return `s3://${bucket}/${prefix}?endpoint=${account.endpoint}`
}

export function optionsOf({ account: { accessKey, secretKey, region } }: S3Client) {
  const environment = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, HOME: '/nonexistent' }
  return { region, environment }
}

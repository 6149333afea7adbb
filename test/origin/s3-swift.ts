/**
 * Buckets of Swift's s3api as origins, against a real one.
 */
import t from 'tap'
import { S3Origin } from '../../src/origin/s3/s3-origin.ts'
import { optionsOf, s3Contract, urlOf } from '../contract/s3.ts'
import { s3Mounted } from '../contract/s3-mounted.ts'
import { S3Client } from '../fixtures/s3-client.ts'
import { noSwift, startSwift } from '../fixtures/swift-server.ts'

if (noSwift !== false) {
  t.test("buckets of Swift's s3api", { skip: noSwift }, async () => {})
} else {
  const { s3 } = await startSwift(t)
  s3Contract("Swift's s3api", () => s3)
  s3Mounted("Swift's s3api", () => s3)
  // A gateway of Ceph takes any region.
  t.test('a wrong region is corrected by the server', async t => {
    const client = new S3Client(s3, 'region')
    await client.create()
    await client.put('a.img', 'a')
    const origin = new S3Origin(urlOf(client), { ...optionsOf(client), region: 'eu-wrong-1' })
    t.teardown(() => origin.close())
    const { signal } = new AbortController()
    t.equal((await origin.lookup('a.img', { signal })).sizeBytes, 1)
    t.same(await origin.list({ signal }), ['a.img'])
  })
}

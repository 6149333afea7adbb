/** Addresses of buckets. */
import t from 'tap'
import { bucketUrlOf } from '../../../src/origin/s3/s3-address.ts'

t.test('a bucket is before the host at AWS, and in the path elsewhere', async t => {
  const at = (
    bucket: string,
    endpoint: string | null,
    region = 'eu-west-1',
    how: 'auto' | 'path' | 'virtual' = 'auto',
  ) => bucketUrlOf(bucket, endpoint === null ? null : new URL(endpoint), region, how).href
  t.equal(at('images', null), 'https://images.s3.eu-west-1.amazonaws.com/')
  t.equal(at('images', null, 'cn-north-1'), 'https://images.s3.cn-north-1.amazonaws.com.cn/')
  t.equal(at('my.images', null), 'https://s3.eu-west-1.amazonaws.com/my.images/', 'certificates have one label')
  t.equal(at('Images', null), 'https://s3.eu-west-1.amazonaws.com/Images/')
  t.equal(at('images', null, 'eu-west-1', 'path'), 'https://s3.eu-west-1.amazonaws.com/images/')
  t.equal(at('images', 'http://127.0.0.1:7480/'), 'http://127.0.0.1:7480/images/')
  t.equal(at('images', 'https://host/s3/'), 'https://host/s3/images/')
  t.equal(at('images', 'https://host:1/', 'r', 'virtual'), 'https://images.host:1/')
})

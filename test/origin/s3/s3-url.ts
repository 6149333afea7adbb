/** URLs of S3 origins. */
import t from 'tap'
import { encodedPath, s3PlaceOf, s3UrlOf, s3UrlWith } from '../../../src/origin/s3/s3-url.ts'

t.test('a URL is written in one way, whatever it was written like', async t => {
  const same = (url: string) => s3UrlOf(s3PlaceOf(url))
  t.equal(same('s3://images'), 's3://images/')
  t.equal(same('S3://images/golden'), 's3://images/golden/')
  t.equal(same('s3://images/a b/é(1)/'), 's3://images/a%20b/%C3%A9%281%29/')
  t.equal(same('s3://images/a%20b'), 's3://images/a%20b/')
  t.equal(same('s3://My_Old.Bucket/?endpoint=HTTP://Host:80/'), 's3://My_Old.Bucket/?endpoint=http://host')
  t.equal(same('s3://images/x/?endpoint=https://host:8443/s3'), 's3://images/x/?endpoint=https://host:8443/s3')
  t.match(s3PlaceOf('s3://images/a%2Bb/%25'), { bucket: 'images', prefix: 'a+b/%/', endpoint: null })
})

t.test('the endpoint of the settings becomes a part of it', async t => {
  t.equal(s3UrlWith('s3://bkt', { endpoint: 'https://h/' }), 's3://bkt/?endpoint=https://h')
  t.equal(s3UrlWith('s3://bkt?endpoint=https://h', { endpoint: 'https://h' }), 's3://bkt/?endpoint=https://h')
  t.equal(s3UrlWith('s3://bkt', {}), 's3://bkt/')
  t.throws(() => s3UrlWith('s3://bkt?endpoint=https://h', { endpoint: 'https://i' }), { code: 'invalid-argument' })
})

t.test('no place of a bucket is refused with the reason', async t => {
  const wrong = [
    ...[
      's3:',
      's3:///key',
      's3://b',
      's3://bucket:80/',
      's3://-b/',
      's3://bucket/#x',
      's3://bucket/?x=1',
      's3://bucket/%',
    ],
    ...[
      'http://bucket/',
      's3://bucket/?endpoint=ftp://h',
      's3://bucket/?endpoint=h',
      's3://bucket/?endpoint=https://u:p@h',
    ],
    's3://bucket/?endpoint=https://h&endpoint=https://i',
  ]
  for (const url of wrong) {
    t.throws(() => s3PlaceOf(url), { code: 'invalid-argument' }, url)
  }
  try {
    s3PlaceOf('s3://bucket/?endpoint=https://user:hush@h')
  } catch (error) {
    t.notMatch(String(error), /hush/)
  }
})

t.test('a key is encoded as it is signed', async t => {
  t.equal(encodedPath("a b/c+d/(e)'!*~.-_/é%"), 'a%20b/c%2Bd/%28e%29%27%21%2A~.-_/%C3%A9%25')
})

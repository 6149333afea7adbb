/** Signatures, compared with those that AWS has published. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { authorizationFor, signingTimeOf, unsignedPayload } from '../../../src/origin/s3/signature-v4.ts'

const empty = createHash('sha256').digest('hex')

// Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header", examples.
t.test('the examples of the S3 API Reference have their published signatures', async t => {
  const keys = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
  const scope = { region: 'us-east-1', service: 's3', time: '20130524T000000Z' }
  const published: readonly [string, Readonly<Record<string, string>>, string][] = [
    ['test.txt', { range: 'bytes=0-9' }, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    ['?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['?max-keys=2&prefix=J', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
    ['?prefix=J&max-keys=2', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ]
  for (const [path, own, signature] of published) {
    const headers = { ...own, 'x-amz-content-sha256': empty, 'x-amz-date': scope.time }
    const url = new URL(`https://examplebucket.s3.amazonaws.com/${path}`)
    const said = authorizationFor({ method: 'GET', url, headers, payload: empty }, scope, keys)
    const names = ['host', ...Object.keys(headers)].join(';')
    const place = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request'
    t.equal(said, `AWS4-HMAC-SHA256 Credential=${place}, SignedHeaders=${names}, Signature=${signature}`, path)
  }
})

// Source: AWS, "Signature Version 4 test suite", get-vanilla, get-vanilla-query-order-key-case, post-vanilla.
t.test('the test suite of Signature Version 4 has its published signatures', async t => {
  const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
  const scope = { region: 'us-east-1', service: 'service', time: '20150830T123600Z' }
  const published = [
    ['GET', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['GET', '?Param2=value2&Param1=value1', 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'],
    ['POST', '', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
  ] as const
  for (const [method, query, signature] of published) {
    const url = new URL(`https://example.amazonaws.com/${query}`)
    const request = { method, url, headers: { 'x-amz-date': scope.time }, payload: empty }
    t.match(authorizationFor(request, scope, keys), new RegExp(`Signature=${signature}$`), method + query)
  }
})

t.test('a signature depends on everything that is signed, and on no order', async t => {
  const keys = { accessKeyId: 'a', secretAccessKey: 'b' }
  const scope = { region: 'r', service: 's3', time: signingTimeOf(Date.UTC(2026, 0, 2, 3, 4, 5, 678)) }
  t.equal(scope.time, '20260102T030405Z')
  const sign = (over: object = {}, path = 'http://h:1/b/k?a=1&b=2') =>
    authorizationFor(
      { method: 'GET', url: new URL(path), headers: { x: '1', y: '2' }, payload: unsignedPayload, ...over },
      scope,
      keys,
    )
  t.equal(sign({ headers: { y: '2', x: '1' } }), sign())
  t.equal(sign({}, 'http://h:1/b/k?b=2&a=1'), sign())
  const others = [sign({ method: 'HEAD' }), sign({ headers: { x: '1' } }), sign({ payload: empty })]
  for (const path of ['http://h:2/b/k?a=1&b=2', 'http://h:1/b/l?a=1&b=2', 'http://h:1/b/k?a=2&b=1'])
    others.push(sign({}, path))
  t.equal(new Set([...others, sign()]).size, others.length + 1)
})

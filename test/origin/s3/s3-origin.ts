/** An S3 origin against a server that does what real ones do not do on demand. */
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { RetryAfterError } from '../../../src/origin/contract/retry-after-error.ts'
import { type S3Options, S3Origin } from '../../../src/origin/s3/s3-origin.ts'
import { waysToReceive } from '../../fixtures/receiving.ts'
import { S3TestServer } from '../../fixtures/s3-server.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal
const environment = { AWS_ACCESS_KEY_ID: 'test-id', AWS_SECRET_ACCESS_KEY: 'test-secret', HOME: '/nonexistent' }

async function made(t: Test, options: Partial<S3Options> = {}) {
  const server = await S3TestServer.start(t)
  server.put('golden/a.img', 'the bytes of a')
  const origin = new S3Origin(`s3://images/golden/?endpoint=${server.endpoint}`, { environment, ...options })
  t.teardown(() => origin.close())
  return { server, origin }
}

async function textOf(origin: S3Origin, image: Image): Promise<string> {
  const target = new Uint8Array(image.sizeBytes)
  await origin.read(image, 0, target, { signal })
  return Buffer.from(target).toString()
}

const imageOf = async (origin: S3Origin) => identify(await origin.lookup('a.img', { signal }))

t.test('a lookup is one request, a fresh object is not waited for, and ranges share a head', async t => {
  const { server, origin } = await made(t)
  const image = await imageOf(origin)
  t.same(
    server.seen.map(({ method, path }) => `${method} ${path}`),
    ['GET /images/golden/a.img'],
  )
  server.seen.length = 0
  for (let at = 0; at < 5; at++) await origin.read(image, at, new Uint8Array(3), { signal })
  t.equal(new Set(server.seen.map(({ headers }) => headers.authorization)).size, 1)
  t.equal(new Set(server.seen.map(({ headers }) => headers.range)).size, 5)
})

t.test('a wrong region costs one refusal for all of the bucket', async t => {
  const { server, origin } = await made(t)
  server.region = 'eu-north-1'
  t.equal(await textOf(origin, await imageOf(origin)), 'the bytes of a')
  t.same(await origin.list({ signal }), ['a.img'])
  t.equal(server.seen.length, 4)
})

t.test('a clock that is hours off costs one refusal', async t => {
  const { server, origin } = await made(t)
  server.aheadMs = -7_200_000
  t.equal(await textOf(origin, await imageOf(origin)), 'the bytes of a')
  t.equal(server.seen.length, 3)
})

const [plain] = waysToReceive(t)

for (const receiver of [null, plain!.receiver]) {
  t.test(`reads that are refused together are all sent again, ${receiver ? 'in place' : 'by undici'}`, async t => {
    const server = await S3TestServer.start(t)
    server.put('golden/a.img', 'the bytes of a')
    const url = `s3://images/golden/?endpoint=${server.endpoint}`
    const open = () => {
      const origin = new S3Origin(url, { environment }, { receiver, inPlaceBytesMin: 1 })
      t.teardown(() => origin.close())
      return origin
    }
    const image = await imageOf(open())
    // As after a takeover: the first that a new process does is to read.
    const readAtOnce = async (origin: S3Origin) =>
      new Set(await Promise.all(Array.from({ length: 8 }, () => textOf(origin, image))))
    const origin = open()
    server.region = 'eu-north-1'
    t.same(await readAtOnce(origin), new Set(['the bytes of a']), 'for the wrong region')
    server.aheadMs = 7_200_000
    t.same(await readAtOnce(origin), new Set(['the bytes of a']), 'for the wrong time')
  })
}

t.test('a session that ends between two ranges is renewed by the keys of its source', async t => {
  const values: Record<string, string> = { ...environment, AWS_SESSION_TOKEN: 'first-token' }
  let nowMs = Date.now()
  const { server, origin } = await made(t, { environment: values, now: () => nowMs })
  server.token = 'first-token'
  const image = await imageOf(origin)
  server.token = 'second-token'
  await t.rejects(textOf(origin, image), { message: /\(ExpiredToken: because & so\)/ }, 'there are no others')
  values.AWS_SESSION_TOKEN = 'second-token'
  nowMs += 60_000
  const texts = await Promise.all(Array.from({ length: 8 }, () => textOf(origin, image)))
  t.same(new Set(texts), new Set(['the bytes of a']))
})

t.test('a version that we may not name is read as the newest one, as long as it is that', async t => {
  const { server, origin } = await made(t)
  server.put('golden/a.img', 'pinned', 'v1')
  server.script = ({ path }, response) => path.includes('versionId') && server.refuse(response, 403, 'AccessDenied')
  const image = await imageOf(origin)
  t.match(image.validator, / v1$/)
  t.equal(await textOf(origin, image), 'pinned')
  server.seen.length = 0
  t.equal(await textOf(origin, image), 'pinned')
  t.equal(server.seen.length, 1, 'it is known by now')
  server.put('golden/a.img', 'others', 'v2')
  await t.rejects(textOf(origin, image), { code: 'image-changed' })
})

t.test('an old version is read by its name', async t => {
  const { server, origin } = await made(t)
  server.put('golden/a.img', 'pinned', 'v1/+')
  const image = await imageOf(origin)
  await textOf(origin, image)
  t.match(server.seen.at(-1)?.path, /\?versionId=v1%2F%2B$/)
  server.put('golden/a.img', 'others', 'v2')
  await t.rejects(textOf(origin, image), { code: 'image-changed', message: /NoSuchVersion/ })
})

t.test('answers that are busy say when to come back, and each failure has its code', async t => {
  const { server, origin } = await made(t)
  const image = await imageOf(origin)
  server.script = (_, response) => {
    response.setHeader('retry-after', '7')
    return server.refuse(response, 503, 'SlowDown')
  }
  const busy = await origin.read(image, 0, new Uint8Array(1), { signal }).then(
    () => null,
    (error: unknown) => error,
  )
  t.ok(busy instanceof RetryAfterError)
  t.match(busy, { ms: 7_000, message: /answered 503 \(SlowDown: because & so\)/ })
  for (const [status, code, expected] of [
    [500, 'InternalError', 'origin-failed'],
    [403, 'AccessDenied', 'access-denied'],
    [403, 'InvalidObjectState', 'access-denied'],
    [404, 'NoSuchKey', 'image-changed'],
    [412, 'PreconditionFailed', 'image-changed'],
    [400, 'InvalidRequest', 'origin-protocol'],
  ] as const) {
    server.script = (_, response) => server.refuse(response, status, code)
    await t.rejects(textOf(origin, image), { code: expected, message: new RegExp(code) })
  }
  server.script = (_, response) => {
    response.writeHead(301, { 'content-length': 0 })
    response.end()
    return true
  }
  await t.rejects(textOf(origin, image), { code: 'origin-protocol' }, 'it leads nowhere')
})

t.test('hostile listings end with an error, and those we may not have are none', async t => {
  const { server, origin } = await made(t)
  const say = (body: string) => {
    server.script = (_, response) => {
      response.end(body)
      return true
    }
  }
  const truncated = (token: string) =>
    `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken></ListBucketResult>`
  for (const body of [
    truncated('same'),
    truncated('x').slice(0, 60),
    '<html></html>',
    '',
    'x'.repeat(4 * 2 ** 20 + 1),
  ]) {
    say(body)
    await t.rejects(origin.list({ signal }), { code: 'origin-protocol' }, body.slice(0, 80))
  }
  t.ok(server.seen.length < 10, 'a token that repeats is seen at once')
  const keys = ['golden/a', 'elsewhere/b', 'b', 'golden/'].map(key => `<Contents><Key>${key}</Key></Contents>`)
  say(`<ListBucketResult><IsTruncated>false</IsTruncated>${keys.join('')}</ListBucketResult>`)
  t.same(await origin.list({ signal }), ['a'], 'keys of other places are none of ours')
  server.script = (_, response) => server.refuse(response, 403, 'AccessDenied')
  t.equal(await origin.list({ signal }), null)
  server.script = (_, response) => server.refuse(response, 404, 'NoSuchBucket')
  await t.rejects(origin.list({ signal }), { code: 'origin-protocol', message: /NoSuchBucket/ })
  server.script = (_, response) => server.refuse(response, 503, 'SlowDown')
  await t.rejects(origin.list({ signal }), { code: 'origin-failed' })
})

t.test('keys have paths, page after page', async t => {
  const { server, origin } = await made(t)
  for (const key of ['b c.img', 'd/e.img', 'd//f.img', 'marker/', './g.img', '%2F.img', 'é+(1).img']) {
    server.put(`golden/${key}`, key)
  }
  server.put('other/h.img', 'no')
  server.put('golden/g.img', 'another than ./g.img')
  const listed = await origin.list({ signal })
  const dotted = '%2E/g.img'
  t.same(
    listed?.slice().sort(),
    ['%252F.img', dotted, 'a.img', 'b c.img', 'd/%2Ff.img', 'd/e.img', 'é+(1).img', 'g.img'].sort(),
  )
  for (const path of listed ?? []) {
    if (path === dotted)
      await t.rejects(origin.lookup(path, { signal }), { code: 'not-found' }, 'no URL has such a part')
    else t.ok((await origin.lookup(path, { signal })).sizeBytes > 0, path)
  }
  await t.rejects(
    origin.lookup(`${'x/'.repeat(510)}long`, { signal }),
    { code: 'not-found' },
    'with its prefix too long',
  )
})

t.test('an empty object is an image', async t => {
  const { server, origin } = await made(t)
  server.put('golden/a.img', '')
  t.equal((await origin.lookup('a.img', { signal })).sizeBytes, 0)
})

t.test('an anonymous reader sends no signature, and a payer says so', async t => {
  const anonymous = await made(t, { anonymous: true, environment: { HOME: '/nonexistent' } })
  await imageOf(anonymous.origin)
  t.equal(anonymous.server.seen[0]?.headers.authorization, undefined)
  const paying = await made(t, { requesterPays: true })
  await imageOf(paying.origin)
  t.equal(paying.server.seen[0]?.headers['x-amz-request-payer'], 'requester')
})

t.test('without keys the places that were looked at are named', async t => {
  const { origin } = await made(t, { environment: { HOME: '/nonexistent', AWS_EC2_METADATA_DISABLED: 'true' } })
  await t.rejects(imageOf(origin), {
    code: 'access-denied',
    message: /AWS_ACCESS_KEY_ID.*shared files.*anonymous: true/,
  })
})

t.test('endpoint and region come from the environment and the profile, when the configuration has none', async t => {
  const { server } = await made(t)
  const home = t.testdir({ '.aws': { config: `[default]\nregion = eu-7\nendpoint_url = ${server.endpoint}\n` } })
  server.region = 'eu-7'
  const ofProfile = new S3Origin('s3://images/golden/', { environment: { ...environment, HOME: home } })
  t.teardown(() => ofProfile.close())
  t.equal(ofProfile.url, 's3://images/golden/')
  t.equal(await textOf(ofProfile, await imageOf(ofProfile)), 'the bytes of a')
  t.equal(server.seen.length, 2)
  server.region = 'eu-8'
  const names = { AWS_REGION: 'eu-8', AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_ENDPOINT_URL_S3: server.endpoint }
  const ofEnvironment = new S3Origin('s3://images/golden/', { environment: { ...environment, HOME: home, ...names } })
  t.teardown(() => ofEnvironment.close())
  await imageOf(ofEnvironment)
  t.equal(server.seen.length, 3)
})

t.test('a listing that is under way ends with its origin', async t => {
  const { server, origin } = await made(t)
  server.script = () => true // No answer comes.
  const list = origin.list({ signal })
  await until(() => server.seen.length > 0, 30_000, 'the request')
  await Promise.all([origin.close(), t.rejects(list, { code: 'closed' })])
  await t.rejects(origin.list({ signal }), { code: 'closed' })
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'closed' })
})

t.test('no error shows a secret', async t => {
  const { server, origin } = await made(t, { environment: { ...environment, AWS_SESSION_TOKEN: 'hush-token' } })
  const image = await imageOf(origin)
  for (const [status, code] of [
    [403, 'SignatureDoesNotMatch'],
    [500, 'InternalError'],
    [404, 'NoSuchKey'],
  ] as const) {
    server.script = (_, response) => server.refuse(response, status, code)
    for (const call of [textOf(origin, image), imageOf(origin), origin.list({ signal })]) {
      const error = await call.then(
        () => null,
        (error: unknown) => error,
      )
      t.notMatch(`${error} ${(error as Error).stack}`, /test-secret|hush-token|Signature=|X-Amz/)
    }
  }
})

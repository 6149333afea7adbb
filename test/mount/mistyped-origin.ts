/**
 * Mistyped origins: a person who mounts one in the foreground reads one plain sentence on the terminal, about the
 * mistake and its remedy. A cache that has images of another URL changes nothing.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { makeCertificate } from '../fixtures/certificate.ts'
import {
  cannotMount,
  command,
  mountArguments,
  mountDaemon,
  type Place,
  patienceMs,
  place,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { S3TestServer } from '../fixtures/s3-server.ts'
import { onTerminal } from '../fixtures/terminal.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const image = { seed: 5, sizeBytes: 100_000, dataShare: 1 }
const lineOf = (text: string) => text.split('\n').filter(line => line.startsWith('parentfs: '))

/** The sentence that a mount of `origin` shows; the mount is ended, if there is one. */
async function sentenceOf(t: Test, where: Place, origin: string, env: readonly string[] = []): Promise<string> {
  const [program, ...words] = command
  const call = [program, ...env, ...words, ...mountArguments({ ...where, origin })]
  const shell = onTerminal(t, call)
  let hasEnded = false
  void shell.ended.then(() => {
    hasEnded = true
  })
  const isMounted = async () => (await mountAt(where.mountpoint)) !== null
  await until(() => lineOf(shell.shown()).length > 0, patienceMs, `a sentence about ${origin}`)
  await until(async () => hasEnded || (await isMounted()), patienceMs, 'a mount, or its end')
  await shell.close()
  await until(async () => !(await isMounted()), patienceMs, 'the end of the mount')
  const [line, ...more] = lineOf(shell.shown())
  t.same(more, [], 'one sentence')
  t.notMatch(line, /[{}]|\\n/, 'no JSON')
  return line!
}

t.test('each mistake in an origin is one plain sentence on the terminal, with its remedy', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const web = await spawnHttpOrigin({ directory: where.originDirectory })
  const locked = await spawnHttpOrigin({ directory: where.originDirectory, credentials: 'user:secret' })
  const wholeOnly = await spawnHttpOrigin({ directory: where.originDirectory, etag: 'none', lastModified: false })
  for (const server of [web, locked, wholeOnly]) t.teardown(() => server.close())
  const tlsUrl = await tlsServer(t, where)
  const s3 = await S3TestServer.start(t)
  s3.script = (_, response) => {
    const body = '<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>'
    response.writeHead(404, { 'content-type': 'application/xml' }).end(body)
    return true
  }
  const bucket = `s3://typo/parents/?endpoint=${encodeURIComponent(s3.endpoint)}`
  const keys = ['AWS_ACCESS_KEY_ID=test-id', 'AWS_SECRET_ACCESS_KEY=test-secret', 'AWS_REGION=us-east-1']
  const noProxy = ['http_proxy=', 'no_proxy=*']
  const port = new URL(web.url).host
  const cases: readonly (readonly [string, string, RegExp, (readonly string[])?])[] = [
    [
      'host',
      'http://no-such-host.invalid/parents/',
      /: the host no-such-host\.invalid is not known: check its spelling/,
    ],
    ['port', 'http://127.0.0.1:9/parents/', /: nothing listens on 127\.0\.0\.1:9: check host and port/],
    ['scheme', `https://${port}/`, /speaks no TLS: write http:\/\/ in place of https/],
    ['unknown scheme', `htp://${port}/`, /htp:.* not an origin; it must begin with file:/],
    ['TLS port', tlsUrl.replace('https', 'http'), /hangs up without an answer: .*write https:/],
    ['bucket', bucket, /there is no bucket typo: check its name/, keys],
    ['path', `${web.url.replace(/\/?$/, '/')}parnets/`, /has no list of images at this path: check the path/],
    ['credentials', locked.url, /answered 401: give the credentials that it wants/],
    ['certificate', tlsUrl, /is of an unknown issuer: give its authority with origin\.ca/],
    ['directory', `file://${where.originDirectory}/none`, /no such file or directory.*: check the path/],
    ['an image', `file://${where.originDirectory}/a.raw`, /give the directory that has the images, not an image/],
    ['not ranges', wholeOnly.url, /a\.raw: .*put a server in front of it that sends ranges/],
    [
      'proxy',
      'http://images.example/',
      /the proxy on the way to .*check http_proxy/,
      ['http_proxy=http://127.0.0.1:9'],
    ],
  ]
  for (const [mistake, origin, sentence, env = noProxy] of cases) {
    t.match(await sentenceOf(t, where, origin, env), sentence, mistake)
  }
})

t.test('images of another origin in the cache do not hide a mistake', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const daemon = await mountDaemon(t, where)
  await run('cat', join(where.mountpoint, 'a.raw'))
  t.equal(await stop(daemon), 0)
  const typo = `file://${where.originDirectory}s`
  const said = await sentenceOf(t, where, typo)
  t.match(said, /no such file or directory|another origin/)
})

/** A web server with TLS whose certificate nobody knows. @returns its URL */
async function tlsServer(t: Test, where: Place): Promise<string> {
  const { certificate, key } = makeCertificate(where.top, 'IP:127.0.0.1')
  const files = { cert: readFileSync(certificate), key: readFileSync(key) }
  const server = createServer(files, (_, response) => response.writeHead(404).end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

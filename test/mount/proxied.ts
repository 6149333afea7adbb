/** A mount of an origin behind TLS, reached through a proxy alone, by the example of docs/ORIGINS.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificate, noCertificates } from '../fixtures/certificate.ts'
import { cannotMount, isGone, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { startHttpProxy } from '../fixtures/http-proxy.ts'
import { writeSample } from '../fixtures/images.ts'
import { noNginx, startNginx } from '../fixtures/nginx.ts'
import { originsExamples } from '../fixtures/origins-page.ts'
import { run } from '../fixtures/run.ts'

const skip = cannotMount || noCertificates || noNginx

t.test('names and ranges come through a proxy that wants credentials, which stay secret', { skip }, async t => {
  const where = place(t)
  const image = join(where.originDirectory, 'a.raw')
  writeSample(image, { seed: 12, sizeBytes: 3 * 1024 * 1024 + 17 })
  const tls = makeCertificate(where.top, 'DNS:images.test')
  const server = await startNginx({ directory: where.originDirectory, listing: 'json', tls })
  t.teardown(() => server.close())
  const proxy = await startHttpProxy({ credentials: 'vmhost:s3cret' })
  t.teardown(() => proxy.close())
  const [file, log, password] = ['p.yaml', 'log', 'password'].map(name => join(where.top, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(password, 's3cret\n', { mode: 0o600 })
  const { host } = new URL(server.url.replace('127.0.0.1', 'images.test'))
  const [example] = originsExamples('## The way to a web server', {
    'https://images.example.com/golden/': `https://${host}/`,
    'http://proxy.example.com:3128': `${proxy.url}\n  ca: ${tls.certificate}`,
    '/etc/parentfs/proxy-password': password,
  })
  writeFileSync(
    file,
    `mountpoint: ${where.mountpoint}
${example}cache: { directory: ${where.cacheDirectory}, capacity: 150MiB }
log: { level: trace, file: ${log} }
`,
  )
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  // By another process: the proxy is in this one.
  await run('cmp', image, join(where.mountpoint, 'a.raw'))
  const status = await statusOf(where)
  t.ok(proxy.asked.length > 0 && proxy.asked.every(asked => asked === `CONNECT ${host}`), proxy.asked.join())
  const { supervisorPid, pid } = status
  const files = [supervisorPid, pid].flatMap(pid => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
  const told = [JSON.stringify(status), ...[log, ...files].map(path => readFileSync(path, 'utf8'))]
  for (const text of told) t.notMatch(text, /s3cret/)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
})

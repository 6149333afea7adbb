/** A bucket of AWS that is in another region than was thought: its host is another one, too. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createProxy } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { proxyAt } from '../../../src/origin/http/protocol/proxy-rules.ts'
import { S3Origin } from '../../../src/origin/s3/s3-origin.ts'
import { makeCertificate, noCertificates } from '../../fixtures/certificate.ts'

const { signal } = new AbortController()
const [wrong, right] = ['us-east-1', 'eu-central-1'].map(region => `images.s3.${region}.amazonaws.com`) as [
  string,
  string,
]

t.test('it is asked at its own region from then on', { skip: noCertificates }, async t => {
  const { certificate, key } = makeCertificate(t.testdir(), `DNS:${wrong}`, `DNS:${right}`)
  const asked: string[] = []
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, ({ headers }, response) => {
    asked.push(`${headers.host} ${/\/([\w-]+)\/s3\//.exec(headers.authorization ?? '')?.[1]}`)
    if (headers.host === right) {
      response.writeHead(206, { etag: '"a"', 'content-range': 'bytes 0-0/1', 'content-length': 1 })
      return void response.end('a')
    }
    // Source: Amazon S3 API Reference, "Error responses", PermanentRedirect.
    response.writeHead(301, { 'x-amz-bucket-region': 'eu-central-1' })
    response.end('<Error><Code>PermanentRedirect</Code></Error>')
  })
  // Every host is the server here.
  const sockets = new Set<Socket>()
  const proxy = createProxy().on('connect', (_, socket: Socket) => {
    const there = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n')
      socket.pipe(there).pipe(socket)
    })
    for (const end of [socket, there]) sockets.add(end.on('error', () => {}))
  })
  for (const each of [server, proxy]) await once(each.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    proxy.close()
  })
  const way = proxyAt(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  const http = { proxyFor: () => way, ca: readFileSync(certificate, 'utf8') }
  const environment = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', HOME: '/nonexistent' }
  const origin = new S3Origin('s3://images/', { environment }, http)
  t.teardown(() => origin.close())
  const found = await Promise.all(['a.img', 'a.img'].map(key => origin.lookup(key, { signal })))
  await origin.read(identify(found[0]!), 0, new Uint8Array(1), { signal })
  t.equal(asked.at(-1), `${right} eu-central-1`)
  t.ok(asked.includes(`${wrong} us-east-1`))
  const before = asked.length
  await origin.lookup('b.img', { signal })
  t.same(asked.slice(before), [`${right} eu-central-1`], 'the region is remembered')
})

/**
 * Names as servers list them: odd ones are shown as they are and found again, impossible ones are left out, and a very
 * long listing costs one request and bounded memory.
 *
 * NAMES=n sets the length of the long one.
 */
import { readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, place, statusOf } from '../fixtures/daemon.ts'
import { run } from '../fixtures/run.ts'

const options = { skip: cannotMount, timeout: 0 }

const count = Number(process.env.NAMES ?? 200_000)
/** Per name: its text and its entry, and the garbage meanwhile. A million take about 100 bytes each. */
const bytesPerNameMax = 192
/** Without names: 140 MiB, of them 47 of mapped files, and 36 more where V8 optimizes a large function meanwhile. */
const bytesAlways = 190 * 1024 ** 2

/**
 * A server that lists `listing`, and has an image of so many bytes as its name has under every name that `has` accepts.
 */
async function serve(t: Test, listing: Buffer, has: (name: string) => boolean) {
  const requests: string[] = []
  const server: Server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    if (path === '/index.json') return void response.writeHead(200).end(listing)
    const name = decodeURIComponent(path.slice(1))
    if (!has(name)) return void response.writeHead(404).end()
    const headers = { etag: '"1"', 'accept-ranges': 'bytes', 'content-length': Buffer.byteLength(name) }
    response.writeHead(200, headers).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests }
}

const possible = [
  'line\nbreak',
  'tab\tand\rreturn',
  ' ',
  '-rf',
  '*',
  '...',
  'Twin.raw',
  'twin.raw',
  'TWIN.RAW',
  'e\u0301',
  '\u00e9',
  '\u202egnp.exe',
  '%2e%2e',
  'a?b#c&d',
  'x'.repeat(255),
  'ü'.repeat(127),
  '\u{1f600}'.repeat(63),
]
const impossible = [
  '',
  '.',
  '..',
  '../up',
  '/etc/passwd',
  'a/b',
  'nul\0',
  'nul\0/../x',
  'x'.repeat(256),
  'x'.repeat(4096),
  'ü'.repeat(128),
  '\ud800',
]

t.setTimeout(3_600_000)

t.test('odd names are shown and found, impossible ones are neither', options, async t => {
  const where = place(t)
  // Bytes that are no UTF-8 stand for a character that no server has; other names are not harmed.
  const listing = Buffer.concat([
    Buffer.from(JSON.stringify([...possible, ...impossible]).replace(/\]$/, ',"')),
    Buffer.from([0x62, 0xff, 0xfe, 0xc0, 0xaf]),
    Buffer.from('"]'),
  ])
  const { url } = await serve(t, listing, name => possible.includes(name))
  await mountDaemon(t, { ...where, origin: url })
  const names = await readdir(where.mountpoint)
  t.same(names.filter(name => !name.startsWith('b\ufffd')).sort(), [...possible].sort())
  t.ok(names.length <= possible.length + 1)
  for (const name of possible) {
    t.equal((await stat(join(where.mountpoint, name))).size, Buffer.byteLength(name), JSON.stringify(name.slice(0, 20)))
  }
  for (const name of ['TWIN.raw', 'x'.repeat(256), 'b\ufffd']) {
    const code = await stat(join(where.mountpoint, name)).then(
      () => 'found',
      ({ code }) => code,
    )
    t.match(code, /^(ENOENT|ENAMETOOLONG)$/, name.slice(0, 20))
  }
})

t.test(`a listing of ${count} names is one request and bounded memory`, options, async t => {
  const where = place(t)
  const entry = (k: number) => ({ name: `image-${String(k).padStart(7, '0')}.qcow2`, size: k })
  const listing = Buffer.from(JSON.stringify(Array.from({ length: count }, (_, k) => entry(k))))
  const { url, requests } = await serve(t, listing, () => true)
  // However long it takes, the listing stays fresh.
  await mountDaemon(t, { ...where, origin: url }, '--revalidate', '1d')
  const { pid } = await statusOf(where)
  const startMs = performance.now()
  const names = (await run('ls', '-f', where.mountpoint)).toString().trim().split('\n')
  const ms = Math.round(performance.now() - startMs)
  t.equal(names.filter(name => name.startsWith('image-')).length, count)
  t.equal(new Set(names).size, names.length)
  const again = (await run('ls', '-f', where.mountpoint)).toString().trim().split('\n')
  t.same(again.length, names.length)
  const [, looked] = requests
  t.same(requests, ['/index.json', looked], 'one request, for the mount and for both readings of the directory')
  t.equal(looked, `/${entry(0).name}`, 'beside the one that says whether its images can be served')
  const peakBytes = Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024
  const mebibytes = Math.round(peakBytes / 1024 ** 2)
  t.ok(peakBytes < bytesAlways + count * bytesPerNameMax, `at most ${mebibytes} MiB`)
  t.comment(`${count} names: listed in ${ms} ms, the worker took ${mebibytes} MiB at most`)
})

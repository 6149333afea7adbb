/**
 * A real web server as an origin: Debian's nginx, with each of its listings, with and without ETags.
 */
import { renameSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { identify } from '../../src/base/image.ts'
import { HttpOrigin } from '../../src/origin/http/http-origin.ts'
import { originContract } from '../contract/origin.ts'
import { noNginx, startNginx } from '../fixtures/nginx.ts'

const signal = new AbortController().signal

const skip = noNginx

for (const variant of [{ listing: 'json' }, { listing: 'html' }, { listing: 'none', etag: false }] as const) {
  originContract(
    `nginx ${JSON.stringify(variant)}`,
    async (directory, t) => {
      const server = await startNginx({ directory, ...variant })
      t.teardown(() => server.close())
      return new HttpOrigin(server.url, { inPlaceBytesMin: 1 })
    },
    { skip },
  )
}

t.test('a listing of nginx is read in either form, and null where nothing is listed', { skip }, async t => {
  const directory = t.testdir({ 'a.img': 'four', directory: {} })
  const listOf = async (listing: 'json' | 'html' | 'none') => {
    const server = await startNginx({ directory, listing })
    t.teardown(() => server.close())
    const origin = new HttpOrigin(server.url)
    t.teardown(() => origin.close())
    return await origin.list({ signal })
  }
  t.same(await listOf('json'), ['a.img'])
  t.same(await listOf('html'), ['a.img'])
  t.equal(await listOf('none'), null)
})

t.test('an image that nginx compresses for others is read as it is', { skip }, async t => {
  const directory = t.testdir({ 'a.html': 'x'.repeat(50_000) })
  utimesSync(join(directory, 'a.html'), 1_600_000_000, 1_600_000_000)
  const server = await startNginx({ directory, listing: 'none', extra: 'gzip on; gzip_types *;' })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url)
  t.teardown(() => origin.close())
  const facts = await origin.lookup('a.html', { signal })
  const target = new Uint8Array(100)
  await origin.read({ ...facts, id: 'x' }, 49_900, target, { signal })
  t.ok(target.every(byte => byte === 0x78))
})

t.test('a directory below and a broken gateway are no images', { skip }, async t => {
  const directory = t.testdir({ directory: { index: 'x' }, 'a.img': 'four' })
  const server = await startNginx({ directory, listing: 'html', extra: 'location = /a.img { return 502; }' })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url)
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('directory', { signal }), { code: 'not-found' })
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-failed' })
})

for (const etag of [true, false]) {
  t.test(`versions of one length and one second are never mixed, ETag or not: ${etag}`, { skip }, async t => {
    const directory = t.testdir()
    // A second that is still to come, so that a slow machine replaces within it, too.
    const seconds = Math.ceil(Date.now() / 1000) + 60
    const put = (text: string) => {
      const path = join(directory, `.${text}`)
      writeFileSync(path, text.repeat(1000))
      utimesSync(path, seconds, seconds)
      renameSync(path, join(directory, 'a.img'))
    }
    put('a')
    const server = await startNginx({ directory, listing: 'none', etag })
    t.teardown(() => server.close())
    const origin = new HttpOrigin(server.url)
    t.teardown(() => origin.close())
    const replaced = sleep(500).then(() => put('b'))
    const image = identify(await origin.lookup('a.img', { signal }))
    const target = Buffer.alloc(1000)
    await origin.read(image, 0, target.subarray(0, 500), { signal })
    await replaced
    await origin.read(image, 500, target.subarray(500), { signal })
    t.equal(target.toString(), 'b'.repeat(1000))
  })
}

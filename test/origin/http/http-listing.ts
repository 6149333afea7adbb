/**
 * Kind of listing that a server has, and the requests that it takes to know.
 */
import { once } from 'node:events'
import { unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { startHttpOrigin } from '../../fixtures/http-origin.ts'

const signal = new AbortController().signal

t.test('a listing is one request once its form is known', async t => {
  for (const listing of ['json', 'html'] as const) {
    const directory = t.testdir({ 'a.img': 'a' })
    const server = await startHttpOrigin({ directory, listing })
    t.teardown(() => server.close())
    const origin = new HttpOrigin(server.url)
    t.teardown(() => origin.close())
    t.equal((await origin.list({ signal }))?.length, 1)
    await server.reset()
    for (let k = 0; k < 3; k++) t.equal((await origin.list({ signal }))?.length, 1)
    t.equal((await server.counters()).requests, 3, listing)
  }
})

t.test('an index.json beside the images outranks what the server makes, and what replaces it is found', async t => {
  const directory = t.testdir({ 'a.img': 'a', 'b.img': 'b', 'index.json': '["b.img", {"name": "c", "size": 9}]' })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url)
  t.teardown(() => origin.close())
  const expected = ['b.img', 'c']
  t.same(await origin.list({ signal }), expected)
  await server.reset()
  t.same(await origin.list({ signal }), expected)
  t.equal((await server.counters()).requests, 1)
  unlinkSync(join(directory, 'index.json'))
  t.same([...(await origin.list({ signal }))!].sort(), ['a.img', 'b.img'])
})

t.test('a server that gives programs another index than people is asked for that', async t => {
  const server = createServer(({ url, headers }, response) => {
    if (url !== '/') return void response.writeHead(404).end()
    const isForPrograms = headers.accept?.includes('application/json')
    response.end(isForPrograms ? '[{"name":"old/","is_dir":true},{"name":"a.img","size":4}]' : '<title>/</title>')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const origin = new HttpOrigin(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  t.teardown(() => origin.close())
  t.same(await origin.list({ signal }), ['a.img'])
})

t.test('a server that shows people a page lists nothing', async t => {
  const server = await startHttpOrigin({ directory: t.testdir() })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url)
  t.teardown(() => origin.close())
  await server.fault({ kind: 'html' })
  t.equal(await origin.list({ signal }), null)
})

t.test(
  'a server that is out of order, refuses us, or sends a broken listing has not said that there is none',
  async t => {
    const directory = t.testdir()
    const server = await startHttpOrigin({ directory })
    t.teardown(() => server.close())
    const origin = new HttpOrigin(server.url)
    t.teardown(() => origin.close())
    await server.fault({ kind: 'status', status: 503 })
    await t.rejects(origin.list({ signal }), { code: 'origin-failed' })
    await server.fault({ kind: 'status', status: 401 })
    await t.rejects(origin.list({ signal }), { code: 'access-denied' })
    await server.fault(null)
    writeFileSync(join(directory, 'index.json'), '["a.img",')
    await t.rejects(origin.list({ signal }), { code: 'origin-protocol' })
  },
)

t.test('a listing over the limit is refused, not cut', async t => {
  const directory = t.testdir()
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const origin = new HttpOrigin(server.url, { listingBytesMax: 1000 })
  t.teardown(() => origin.close())
  writeFileSync(join(directory, 'index.json'), JSON.stringify(['x'.repeat(996)]))
  t.equal((await origin.list({ signal }))?.length, 0, 'exactly the limit')
  writeFileSync(join(directory, 'index.json'), JSON.stringify(['x'.repeat(997)]))
  await t.rejects(origin.list({ signal }), { code: 'origin-protocol' })
})

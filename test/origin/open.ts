/**
 * Origins as the daemon opens them: by URL, with all their wrappers.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { Meter } from '../../src/origin/meter.ts'
import { mustAnswer, openOrigin } from '../../src/origin/open.ts'
import { originContract } from '../contract/origin.ts'
import { noHoles } from '../fixtures/extents.ts'
import { startHttpOrigin } from '../fixtures/http-origin.ts'

const signal = new AbortController().signal

originContract('an opened directory', async directory => openOrigin(pathToFileURL(directory).href, { addon: noHoles }))

originContract('an opened web server', async (directory, t) => {
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  return openOrigin(server.url, { addon: noHoles })
})

t.test('a URL that is no origin is an invalid argument, and its password is not repeated', async t => {
  for (const url of [
    '',
    'images',
    '/images',
    'ftp://me:secret@host/',
    'http://me:secret@ho st/',
    'file://host/images',
  ]) {
    t.throws(() => openOrigin(url, { addon: noHoles }), { code: 'invalid-argument' }, url)
    try {
      openOrigin(url, { addon: noHoles })
    } catch (error) {
      t.notMatch(String(error), /secret/)
    }
  }
})

t.test('a query or a fragment is an invalid argument, and the query is not repeated', async t => {
  t.throws(() => openOrigin('http://host/?token=secret', { addon: noHoles }), {
    code: 'invalid-argument',
    message: /^[^?]*$/,
  })
  t.throws(() => openOrigin('http://host/#here', { addon: noHoles }), { code: 'invalid-argument' })
})

t.test('an origin that is not there does not answer, and says so with its URL', async t => {
  const directory = t.testdir()
  const server = await startHttpOrigin({ directory })
  await server.close()
  for (const url of [server.url, `${pathToFileURL(directory).href}/missing`]) {
    const origin = openOrigin(url, { addon: noHoles })
    t.teardown(() => origin.close())
    await t.rejects(mustAnswer(origin, { signal }), {
      code: 'origin-unreachable',
      message: new RegExp(`^${origin.url}`),
    })
  }
})

t.test('a meter sees the requests, bytes and errors of an opened origin, retries included', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const meter = new Meter()
  const origin = openOrigin(server.url, { addon: noHoles, meter })
  t.teardown(() => origin.close())
  const facts = await origin.lookup('a.img', { signal })
  await server.fault({ kind: 'status', status: 503, times: 1 })
  await origin.read({ ...facts, id: 'x' }, 0, new Uint8Array(100), { signal })
  t.same(meter.counters(), { requests: 3, bytes: 100, errors: 1 })
  t.equal((await server.counters()).requests, 3)
})

/**
 * Images that are larger than any may be.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { imageBytesMax } from '../../../src/origin/wrappers/limits.ts'
import { Meter } from '../../../src/origin/wrappers/meter.ts'
import { SizeLimitOrigin } from '../../../src/origin/wrappers/size-limit.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { ScriptedOrigin } from '../../fixtures/scripted-origin.ts'

originContract('a directory of images that have a largest size', async directory => {
  return new SizeLimitOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles))
})

const signal = new AbortController().signal

t.test('an image of the largest size is served, and one byte more is refused', async t => {
  const origin = new SizeLimitOrigin(new ScriptedOrigin({ a: new Uint8Array(100), b: new Uint8Array(101) }), 100)
  t.equal((await origin.lookup('a', { signal })).sizeBytes, 100)
  await t.rejects(origin.lookup('b', { signal }), {
    code: 'image-too-large',
    message: /b has 101 bytes.*more than 100:/,
  })
  t.same(await origin.list({ signal }), ['a', 'b'], 'a listing knows no sizes')
})

t.test('what a web server says of a length is judged at lookup, counted, and kept for status', async t => {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    const sizeBytes = { '/sane': imageBytesMax, '/much': imageBytesMax + 1, '/mad': Number.MAX_SAFE_INTEGER }[
      request.url!
    ]
    response.writeHead(200, { 'content-length': `${sizeBytes}`, 'accept-ranges': 'bytes', etag: '"1"' }).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const meter = new Meter()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const origin = openOrigin(url, { addon: noHoles, meter })
  t.teardown(async () => {
    await origin.close()
    server.closeAllConnections()
    server.close()
  })
  for (const name of ['much', 'mad']) await t.rejects(origin.lookup(name, { signal }), { code: 'image-too-large' })
  t.equal(requests, 2, 'asked once each: it is an answer')
  t.same([...meter.details().errorsByCode], [['image-too-large', 2]])
  t.match(meter.details().unsupported, /mad has 9007199254740991 bytes/)
  t.equal((await origin.lookup('sane', { signal })).sizeBytes, imageBytesMax)
  t.equal(meter.details().unsupported, '')
})

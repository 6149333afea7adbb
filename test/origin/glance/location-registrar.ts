/** Locations of images at a real image service: added, removed, and refused with its words. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { GlanceOrigin, glanceOptionsDefault } from '../../../src/origin/glance/glance-origin.ts'
import { type GlanceServer, noGlance, startGlance } from '../../fixtures/glance-server.ts'

const signal = new AbortController().signal
const bytes = Buffer.alloc(4_096, 7)

/** A web server that has the bytes under any path. */
async function webServer(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-length': bytes.length })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function locationsAt({ endpoint }: GlanceServer, id: string): Promise<string[]> {
  const record = (await (await fetch(`${endpoint}/v2/images/${id}`)).json()) as { locations?: { url: string }[] }
  return (record.locations ?? []).map(({ url }) => url)
}

async function imageAt(t: Test, glance: GlanceServer) {
  const id = await glance.put({ name: 'debian', bytes })
  const origin = new GlanceOrigin(glance.url, glanceOptionsDefault)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('debian', { signal }))
  return { id, image, registrar: origin.registrar, digest: () => origin.digest(image, { signal }) }
}

t.test('a location is added once, and removed without touching others', { skip: noGlance }, async t => {
  const glance = await startGlance(t, { hasLocations: true })
  const { id, image, registrar, digest } = await imageAt(t, glance)
  const place = await webServer(t)
  const [first] = await locationsAt(glance, id)
  for (const name of ['a', 'b', 'c', 'b']) await registrar.add(image, `${place}/${name}`, signal)
  t.same(await locationsAt(glance, id), [first, `${place}/a`, `${place}/b`, `${place}/c`])
  t.ok(await digest(), 'the image is as it was')
  await registrar.remove(image, `${place}/b`, signal)
  await registrar.remove(image, `${place}/never`, signal)
  t.same(await locationsAt(glance, id), [first, `${place}/a`, `${place}/c`])
  await t.rejects(registrar.add(image, 'ftp://host/x', signal), { code: 'origin-protocol' }, 'a scheme that it has not')
  await glance.delete(id)
  await registrar.remove(image, `${place}/a`, signal)
})

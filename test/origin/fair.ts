/**
 * Turns of an origin, shared between images.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../src/image.ts'
import { FairOrigin } from '../../src/origin/fair.ts'
import { FileOrigin } from '../../src/origin/file.ts'
import { LimitOrigin } from '../../src/origin/limit.ts'
import { originContract } from '../contract/origin.ts'
import { noHoles } from '../fixtures/extents.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'

originContract('a fair directory', async directory => {
  return new FairOrigin(new LimitOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), 4), 3)
})

t.test('while every read of one image hangs, another one is read', async t => {
  const origin = new MemoryOrigin()
  for (const name of ['hangs', 'well']) origin.put(name, 10_000)
  origin.gate = async (key, _offset, signal) => {
    if (key === 'hangs') await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
  }
  const fair = new FairOrigin(new LimitOrigin(origin, 4), 3)
  const { signal } = new AbortController()
  const [hangs, well] = await Promise.all(['hangs', 'well'].map(async name => identify(await origin.lookup(name))))
  const controllers = Array.from({ length: 9 }, () => new AbortController())
  const hanging = controllers.map(each =>
    t.rejects(fair.read(hangs!, 0, Buffer.alloc(10), { signal: each.signal }), { code: 'aborted' }),
  )
  const target = Buffer.alloc(100)
  await fair.read(well!, 50, target, { signal })
  t.ok(target.equals(origin.bytes('well', 50, 100)))
  t.equal(fair.images, 1)
  for (const each of controllers) each.abort()
  await Promise.all(hanging)
  t.equal(fair.images, 0)
})

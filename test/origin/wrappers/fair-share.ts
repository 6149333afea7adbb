/**
 * Turns of an origin, shared between images.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { ConcurrencyLimitOrigin } from '../../../src/origin/wrappers/concurrency-limit.ts'
import { FairShareOrigin } from '../../../src/origin/wrappers/fair-share.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

originContract('a fair directory', async directory => {
  return new FairShareOrigin(new ConcurrencyLimitOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), 4), 3)
})

t.test('while every read of one image hangs, another one is read', async t => {
  const origin = new MemoryOrigin()
  for (const name of ['hangs', 'well']) origin.put(name, 10_000)
  origin.gate = async (key, _offset, signal) => {
    if (key === 'hangs') await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
  }
  const fair = new FairShareOrigin(new ConcurrencyLimitOrigin(origin, 4), 3)
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

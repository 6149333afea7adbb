/** An origin that is exchanged under its callers. */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { ReplaceableOrigin } from '../../../src/origin/wrappers/replaceable.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const signal = new AbortController().signal

originContract('a replaceable origin that was replaced', async directory => {
  const { href } = pathToFileURL(directory)
  const origin = new ReplaceableOrigin(new FileOrigin(href, noHoles))
  origin.replace(new FileOrigin(href, noHoles))
  return origin
})

t.test('a call ends with the origin it began with, which is closed after it', async t => {
  const [before, after] = [new MemoryOrigin(), new MemoryOrigin()]
  for (const origin of [before, after]) origin.put('a', 100)
  const closed: string[] = []
  before.close = async () => void closed.push('before')
  after.close = async () => void closed.push('after')
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const read = before.read.bind(before)
  before.read = async (...args) => {
    await held
    return read(...args)
  }
  const origin = new ReplaceableOrigin(before)
  const image = identify(await origin.lookup('a', { signal }))
  const reading = origin.read(image, 0, new Uint8Array(10), { signal })
  origin.replace(after)
  t.equal(origin.count, 2)
  await origin.lookup('a', { signal })
  t.same(after.requests, ['lookup a'])
  t.same(closed, [])
  release()
  await reading
  t.same(closed, ['before'])
  t.equal(origin.count, 1)
  origin.replace(new MemoryOrigin())
  t.same(closed, ['before', 'after'], 'an idle one is closed at once')
  const other = new MemoryOrigin()
  t.throws(() => origin.replace(Object.assign(other, { url: 'memory://other/' })), /is not/)
})

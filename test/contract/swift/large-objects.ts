/**
 * Large objects of Swift: ranges and manifests within manifests, and parts that are written anew.
 */
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import type { SwiftObjects } from '../../fixtures/swift-objects.ts'
import type { SwiftSubject } from './swift-contract.ts'

const options = { signal: new AbortController().signal }
const partBytes = 50_000
const part = (seed: number) => Buffer.alloc(partBytes, `${seed} bytes of part ${seed}, `)

interface Large extends Pick<SwiftSubject, 'objects'> {
  readonly container: string
  readonly origin: Origin
  /** The same, as after a restart. */
  readonly another: () => Origin
}

/** @param tellsManifests false: static large objects are refused */
export function swiftLargeObjects(name: string, subject: () => SwiftSubject, tellsManifests: boolean): void {
  t.test(`${name}: large objects`, async t => {
    const { objects, open } = subject()
    const container = `large-${name.replace(/\W+/g, '-')}`
    for (const made of [container, `${container}-parts`]) await objects.create(made)
    const another = () => {
      const origin = open(`swift://${container}/`)
      t.teardown(() => origin.close())
      return origin
    }
    const large = { objects, container, origin: another(), another }
    await t.test('a segment of a dynamic one that is written anew', async t => await dynamic(t, large))
    if (!tellsManifests) return await t.test('static ones are refused', async t => await refused(t, large))
    await t.test('a segment of a static one that is written anew', async t => await fixed(t, large))
    await t.test('after a restart the segments are compared', async t => await restarted(t, large))
    return await t.test('manifests within manifests, and ranges in them', async t => await nested(t, large))
  })
}

async function putParts(objects: SwiftObjects, container: string, name: string): Promise<{ path: string }[]> {
  for (const k of [0, 1, 2]) await objects.put(`${container}-parts`, `${name}/${k}`, part(k))
  return [0, 1, 2].map(k => ({ path: `/${container}-parts/${name}/${k}` }))
}

async function bytesOf(origin: Origin, image: Image, offset = 0, length = image.sizeBytes - offset): Promise<Buffer> {
  const target = Buffer.alloc(length)
  await origin.read(image, offset, target, options)
  return target
}

const whole = Buffer.concat([0, 1, 2].map(part))

/** Read it, write its second segment anew, and remove its third one. */
async function overwritten(t: Test, { objects, container, origin }: Large, key: string): Promise<Image> {
  const image = identify(await origin.lookup(key, options))
  t.equal(image.sizeBytes, whole.length)
  t.ok(whole.equals(await bytesOf(origin, image)))
  t.ok(whole.subarray(49_990, 100_010).equals(await bytesOf(origin, image, 49_990, 50_020)), 'over two borders')
  await objects.put(`${container}-parts`, `${key}/1`, part(7))
  t.ok(part(0).equals(await bytesOf(origin, image, 0, partBytes)), 'the others are what they were')
  await t.rejects(bytesOf(origin, image, partBytes, 100), { code: 'image-changed' })
  await t.rejects(bytesOf(origin, image, partBytes - 1, 2), { code: 'image-changed' }, 'a part of two')
  return image
}

async function dynamic(t: Test, large: Large): Promise<void> {
  const { objects, container, origin } = large
  await putParts(objects, container, 'dlo')
  await objects.putDynamic(container, 'dlo', `${container}-parts/dlo/`)
  const image = await overwritten(t, large, 'dlo')
  const now = identify(await origin.lookup('dlo', options))
  t.not(now.id, image.id)
  t.ok(Buffer.concat([part(0), part(7), part(2)]).equals(await bytesOf(origin, now)))
  await objects.remove(`${container}-parts`, 'dlo/2')
  await t.rejects(bytesOf(origin, now, 2 * partBytes, 100), { code: 'image-changed' }, 'a part that is gone')
}

async function fixed(t: Test, large: Large): Promise<void> {
  const { objects, container, origin } = large
  await objects.putStatic(container, 'slo', await putParts(objects, container, 'slo'))
  const image = await overwritten(t, large, 'slo')
  // Its manifest names the part that is gone: until it is made anew, the image cannot be read.
  const now = identify(await origin.lookup('slo', options))
  t.equal(now.id, image.id)
  await t.rejects(bytesOf(origin, now, partBytes, 100), { code: 'image-changed' })
}

async function refused(t: Test, { objects, container, origin }: Large): Promise<void> {
  await objects.putStatic(container, 'slo', await putParts(objects, container, 'slo'))
  await t.rejects(origin.lookup('slo', options), { code: 'origin-unsupported' })
}

async function restarted(t: Test, { objects, container, origin, another }: Large): Promise<void> {
  const entries = await putParts(objects, container, 'again')
  await objects.putStatic(container, 'again', entries)
  const image = identify(await origin.lookup('again', options))
  t.ok(part(2).equals(await bytesOf(another(), image, 2 * partBytes)), 'had again')
  await objects.putStatic(container, 'again', entries.slice(0, 2))
  await t.rejects(bytesOf(another(), image, 0, 10), { code: 'image-changed' }, 'another manifest')
  t.ok(part(0).equals(await bytesOf(origin, image, 0, partBytes)), 'its segments are still there for its readers')
  await objects.remove(container, 'again')
  await t.rejects(bytesOf(another(), image, 0, 10), { code: 'image-changed' }, 'none at all')
}

async function nested(t: Test, { objects, container, origin }: Large): Promise<void> {
  const entries = await putParts(objects, container, 'inner')
  await objects.putStatic(container, 'inner', entries)
  await objects.putStatic(container, 'outer', [
    { ...entries[0]!, range: '10-19' },
    { path: `/${container}/inner`, range: '49990-100009' },
    { ...entries[2]!, range: '-5' },
  ])
  const expected = Buffer.concat([part(0).subarray(10, 20), whole.subarray(49_990, 100_010), part(2).subarray(-5)])
  const image = identify(await origin.lookup('outer', options))
  t.equal(image.sizeBytes, expected.length)
  t.ok(expected.equals(await bytesOf(origin, image)))
  for (const at of [0, 9, 10, 19, 20, 50_019, 50_029]) {
    t.ok(expected.subarray(at, at + 3).equals(await bytesOf(origin, image, at, 3)), `at ${at}`)
  }
}

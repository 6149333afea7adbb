/**
 * Readers of files for native threads: published after a right read, as many as files are open, and ended with them.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { originDescriptorsMax } from '../../../src/base/limits.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import type { FileReaders } from '../../../src/native/file-readers.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { NativeReadSources, ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { freeGrant } from '../../fixtures/free-grant.ts'
import { sampleBytes, writeSample } from '../../fixtures/images.ts'
import { startNativeReads } from '../../fixtures/native-reads.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal
const addon = loadAddon()

/** A directory of images as an origin, and what its readers are asked to open and to close. */
function openDirectory(t: Test, images: Record<string, string>, canOpen = true) {
  const directory = t.testdir(images)
  const table = new ReaderTable(originDescriptorsMax, freeGrant)
  const sources = new NativeReadSources()
  sources.replace(table)
  const readers = addon.createFileReaders()
  const [opened, closed]: [OriginReader[], OriginReader[]] = [[], []]
  const recording: FileReaders = {
    open: (fd, validator) => {
      const reader = canOpen ? readers.open(fd, validator) : null
      if (reader) opened.push(reader)
      return reader
    },
    close: reader => {
      closed.push(reader)
      readers.close(reader)
    },
  }
  const native = { readers: table, createReaders: () => recording }
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles, {}, native)
  t.teardown(() => origin.close())
  const lookup = async (key: string) => identify(await origin.lookup(key, { signal }))
  const read = async (key: string) => {
    const image = await lookup(key)
    await origin.read(image, 0, new Uint8Array(1), { signal })
    return image
  }
  return { directory, sources, origin, opened, closed, lookup, read }
}

t.test('the first right read of a file publishes its reader, and later ones nothing', async t => {
  const { sources, lookup, read, opened } = openDirectory(t, { 'a.img': 'x'.repeat(1000) })
  const heard: (OriginReader | null)[] = []
  const image = await lookup('a.img')
  sources.follow(image, reader => heard.push(reader))
  t.equal(heard.length, 0, 'nothing before it is read')
  await Promise.all([read('a.img'), read('a.img')])
  await read('a.img')
  t.equal(opened.length, 1)
  t.ok(heard.length === 1 && heard[0] === opened[0])
})

t.test('the reader of a file that has changed ends, and that of its next version is another one', async t => {
  const { directory, origin, read, opened, closed } = openDirectory(t, { 'a.img': 'before', 'b.img': 'after' })
  const image = await read('a.img')
  renameSync(join(directory, 'b.img'), join(directory, 'a.img'))
  await t.rejects(origin.read(image, 0, new Uint8Array(1), { signal }), { code: 'image-changed' })
  t.ok(closed.length === 1 && closed[0] === opened[0])
  await read('a.img')
  t.equal(opened.length, 2)
  await origin.close()
  t.ok(closed.length === 2 && closed[1] === opened[1])
})

t.test('a reader ends with its descriptor, and comes back with it', async t => {
  const count = originDescriptorsMax + 1
  const images = Array.from({ length: count }, (_, k) => `${k}.img`)
  const { read, opened, closed } = openDirectory(t, Object.fromEntries(images.map(name => [name, name])))
  for (const name of images) await read(name)
  t.equal(opened.length, count)
  await until(() => closed.length === 1, 10_000, 'the end of the first')
  t.ok(closed[0] === opened[0])
  await read('0.img')
  t.equal(opened.length, count + 1)
})

t.test('a read is right though there is no descriptor for a reader', async t => {
  const { read, sources, opened } = openDirectory(t, { 'a.img': 'x' }, false)
  const heard: unknown[] = []
  const image = await read('a.img')
  sources.follow(image, reader => heard.push(reader))
  t.same([opened, heard], [[], []])
})

t.test('readers of files take what is a descriptor, and close their own', async t => {
  const readers = addon.createFileReaders()
  t.equal(readers.open(1_000_000, ''), null)
  t.throws(() => readers.open(-1, ''), RangeError)
  t.throws(() => readers.close({} as OriginReader), TypeError)
})

t.test('session threads read a file by themselves, until it changes', async t => {
  const sample = { seed: 8, sizeBytes: 2 ** 21, dataShare: 1 }
  const directory = t.testdir({ images: {} })
  const path = join(directory, 'images', 'a.img')
  writeSample(path, sample)
  const readers = new ReaderTable(1, freeGrant)
  const native = { readers, createReaders: () => addon.createFileReaders() }
  const origin = new FileOrigin(pathToFileURL(join(directory, 'images')).href, noHoles, {}, native)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await origin.read(image, 0, new Uint8Array(1), { signal })
  const reads = await startNativeReads(t, directory, sample.sizeBytes)
  reads.use(readers.get(image.id))
  const isRight = async (offset: number) => {
    const bytes = await reads.read(offset, 4096)
    return bytes && sampleBytes(sample, offset, 4096).equals(bytes)
  }
  for (let offset = 8192; offset < sample.sizeBytes; offset += 2 ** 18) t.ok(await isRight(offset), `at ${offset}`)
  writeFileSync(path, 'z', { flag: 'r+' })
  t.equal(await isRight(65_536), null, 'what has changed comes to TypeScript')
})

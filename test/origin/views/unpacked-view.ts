/**
 * Packed files shown unpacked: by the contract, from each format, and what is refused.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import { HttpOrigin } from '../../../src/origin/http/http-origin.ts'
import { SequentialOrigin } from '../../../src/origin/sequential/sequential-origin.ts'
import { UnpackedViewOrigin } from '../../../src/origin/views/unpacked-view.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { type HttpOriginOptions, startHttpOrigin } from '../../fixtures/http-origin.ts'
import { sampleBytes } from '../../fixtures/images.ts'

const addon = loadAddon()
const signal = new AbortController().signal
const sample = { seed: 17, sizeBytes: 5_000_003, dataShare: 0.6 }

const packers = [
  { ending: '.gz', command: 'gzip', arguments: ['-1'] },
  { ending: '.xz', command: 'xz', arguments: ['-0', '--block-size=1MiB'] },
  { ending: '.zst', command: 'zstd', arguments: ['-1', '-q'] },
] as const

function isMissing(command: string): string | false {
  return ['/usr/bin', '/bin'].some(directory => existsSync(`${directory}/${command}`)) ? false : `${command} is missing`
}

function pack(path: string, bytes: Uint8Array, { command, arguments: options }: (typeof packers)[number]): void {
  // Of a file: its size goes into the header.
  const plain = `${path}.plain`
  writeFileSync(plain, bytes)
  writeFileSync(path, execFileSync(command, [...options, '-c', plain], { maxBuffer: 2 ** 26 }))
  rmSync(plain)
}

originContract('a directory behind the unpacked view', async directory => {
  return new SequentialOrigin(new UnpackedViewOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles), addon))
})

async function bench(t: Test, options: Partial<HttpOriginOptions> = {}) {
  const directory = t.testdir()
  const bytes = sampleBytes(sample, 0, sample.sizeBytes)
  const server = await startHttpOrigin({ directory, ...options })
  const inner = new HttpOrigin(server.url, { takesSequential: true })
  const view = new UnpackedViewOrigin(inner, addon)
  const origin = new SequentialOrigin(view)
  t.teardown(() => server.close())
  t.teardown(() => origin.close())
  const put = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(directory, name), bytes)
    utimesSync(join(directory, name), 1_600_000_000, 1_600_000_000)
  }
  const putPacked = (name: string, packer: (typeof packers)[number]) => {
    pack(join(directory, name), bytes, packer)
    utimesSync(join(directory, name), 1_600_000_000, 1_600_000_000)
  }
  const imageOf = async (key: string) => identify(await origin.lookup(key, { signal }))
  const read = async (image: Image, offset = 0, length = image.sizeBytes) => {
    const target = new Uint8Array(length)
    await origin.read(image, offset, target, { signal })
    return bytes.subarray(offset, offset + length).equals(target)
  }
  const pass = async (image: Image) => await view.readWhole(image, () => {}, { signal })
  return { directory, bytes, server, origin, pass, put, putPacked, imageOf, read }
}

for (const packer of packers) {
  for (const ranges of ['yes', 'no'] as const) {
    const name = `${packer.command}, ranges: ${ranges}: is shown with the size and the bytes that were packed`
    t.test(name, { skip: isMissing(packer.command) }, async t => {
      const { origin, pass, server, directory, bytes, putPacked, imageOf, read } = await bench(t, { ranges })
      putPacked(`disk.raw${packer.ending}`, packer)
      t.same(await origin.list({ signal }), [`disk.raw${packer.ending}`, 'disk.raw'])
      const image = await imageOf('disk.raw')
      t.equal(image.sizeBytes, sample.sizeBytes)
      await server.reset()
      t.same(await Promise.all([read(image, 4_000_000, 1000), read(image, 5, 70_000), read(image)]), [true, true, true])
      t.equal(await origin.digest(image, { signal }), null)
      const packed = readFileSync(join(directory, `disk.raw${packer.ending}`))
      t.ok((await server.counters()).bytes < packed.length + 100_000, 'the packed bytes, once')
      const file = await imageOf(`disk.raw${packer.ending}`)
      t.equal(file.sizeBytes, packed.length, 'the file itself is there, too')
      writeFileSync(
        join(directory, 'SHA256SUMS'),
        `${createHash('sha256').update(packed).digest('hex')}  disk.raw${packer.ending}\n`,
      )
      t.ok(await read(image))
      const hex = createHash('sha256').update(bytes).digest('hex')
      t.same(await origin.digest(image, { signal }), { algorithm: 'sha-256', hex }, 'the pass vouches for its bytes')
      writeFileSync(join(directory, 'SHA256SUMS'), `${'0'.repeat(64)}  disk.raw${packer.ending}\n`)
      await t.rejects(pass(image), { code: 'image-corrupt' })
      t.equal(await origin.digest(image, { signal }), null)
    })
  }

  t.test(
    `${packer.command}: damaged files, and several streams in one`,
    {
      skip: isMissing(packer.command),
    },
    async t => {
      const { directory, put, putPacked, imageOf, bytes, origin, pass } = await bench(t)
      const name = `disk.raw${packer.ending}`
      putPacked(name, packer)
      const packed = readFileSync(join(directory, name))
      const damaged = Buffer.concat([packed.subarray(0, 30_000), Buffer.alloc(500, 7), packed.subarray(30_500)])
      put(name, damaged)
      // A measured file shows it at its lookup.
      await t.rejects(imageOf('disk.raw').then(pass), { code: 'image-corrupt' })
      put(name, packed.subarray(0, -3))
      await t.rejects(imageOf('disk.raw').then(pass), { code: 'image-corrupt' })
      put(name, Buffer.concat([packed, packed]))
      if (packer.ending === '.zst') {
        // The first frame states less than there is: nothing of it may be taken for whole.
        await t.rejects(imageOf('disk.raw').then(pass), { code: 'image-corrupt' })
        return
      }
      const image = await imageOf('disk.raw')
      t.equal(image.sizeBytes, 2 * sample.sizeBytes)
      const target = new Uint8Array(1000)
      await origin.read(image, sample.sizeBytes + 50_000, target, { signal })
      t.ok(bytes.subarray(50_000, 51_000).equals(target))
    },
  )
}

t.test(
  'a file hides the view of its name; a replaced or removed packed file has another version',
  {
    skip: isMissing('xz'),
  },
  async t => {
    const { directory, put, putPacked, imageOf, read } = await bench(t)
    putPacked('disk.raw.xz', packers[1])
    put('disk.raw', Buffer.from('a file'))
    t.equal((await imageOf('disk.raw')).sizeBytes, 6)
    rmSync(join(directory, 'disk.raw'))
    const image = await imageOf('disk.raw')
    utimesSync(join(directory, 'disk.raw.xz'), 1_600_000_100, 1_600_000_100)
    await t.rejects(read(image, 0, 10), { code: 'image-changed' })
    t.not((await imageOf('disk.raw')).id, image.id)
    rmSync(join(directory, 'disk.raw.xz'))
    await t.rejects(imageOf('disk.raw'), { code: 'not-found' })
  },
)

t.test('a broken connection costs a range, not the pass', { skip: isMissing('zstd') }, async t => {
  const { server, putPacked, imageOf, read } = await bench(t)
  putPacked('disk.raw.zst', packers[2])
  const image = await imageOf('disk.raw')
  await server.reset()
  await server.fault({ kind: 'reset', times: 1, path: '/disk.raw.zst', method: 'GET' })
  t.ok(await read(image))
  t.ok((await server.counters()).methods.GET! <= 10)
})

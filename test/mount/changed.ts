/** An image that changes at its origin: the name shows the new version, and no descriptor ever mixes two. */
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  capabilities,
  isReadingAhead,
  mountDaemon,
  type Place,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { until } from '../fixtures/until.ts'

const options = {
  skip: cannotMount || (capabilities.versionsSideBySide ? false : 'a name stays with the version that is open'),
}
const [KiB, MiB] = [1024, 1024 ** 2]
const block = 64 * KiB

const before = { seed: 21, sizeBytes: 6 * MiB + 5, dataShare: 1 }
const after = { seed: 22, sizeBytes: 6 * MiB + 5, dataShare: 1 }
const [old, fresh] = [before, after].map(image => sampleBytes(image, 0, image.sizeBytes)) as [Buffer, Buffer]

/** Ways in which an image becomes another one. */
const changes: Readonly<Record<string, (file: string) => Promise<void>>> = {
  'replaced by a file of the same size': async file => {
    writeSample(`${file}.new`, after)
    renameSync(`${file}.new`, file)
  },
  'written over in place': async file => {
    const handle = await open(file, 'r+')
    await handle.write(fresh, 0, fresh.length, 0)
    await handle.close()
  },
  'removed and written again': async file => {
    rmSync(file)
    writeSample(file, after)
  },
}

/** Blocks that were held are read as they were, the others fail; where mounts read ahead, more of them may be held. */
function mustBeHeld(t: Test, seen: { readonly old: number; readonly failed: number }, blocks: number, what = '') {
  const all = Math.ceil(old.length / block)
  t.same(
    seen,
    isReadingAhead && seen.old > blocks
      ? { old: seen.old, failed: all - seen.old }
      : { old: blocks, failed: all - blocks },
    what,
  )
}

/** Is so much held, and nothing on its way any more? */
async function isHeld(where: Place, bytes: number): Promise<boolean> {
  const { images, gauges } = await statusOf(where)
  const { residentBytes } = images[0]!
  return (isReadingAhead ? residentBytes >= bytes : residentBytes === bytes) && gauges.inflightFetches === 0
}

/** Read a file block by block. @returns how many blocks were old, and how many failed; throws on any other byte */
async function readBlocks(file: MountedFile): Promise<{ old: number; failed: number }> {
  const seen = { old: 0, failed: 0 }
  for (let offset = 0; offset < old.length; offset += block) {
    const bytes = await file.read({ offset, length: block }).catch(() => null)
    if (bytes === null) seen.failed++
    else if (bytes.equals(old.subarray(offset, offset + block))) seen.old++
    else throw new Error(`bytes of no version at ${offset}`)
  }
  return seen
}

async function origins(t: Test): Promise<Place[]> {
  const [where, remote] = [place(t), place(t)]
  const server = await spawnHttpOrigin({ directory: remote.originDirectory })
  t.teardown(() => server.close())
  return [where, { ...remote, origin: server.url }]
}

for (const [what, change] of Object.entries(changes)) {
  t.test(
    `an image that is ${what}: a new open has the new bytes, an old one keeps the old or fails`,
    options,
    async t => {
      for (const where of await origins(t)) {
        const scheme = where.origin.slice(0, 4)
        const [source, target] = ['originDirectory', 'mountpoint'].map(key =>
          join(where[key as 'mountpoint'], 'a.raw'),
        ) as [string, string]
        writeSample(source, before)
        await mountDaemon(t, where, '--revalidate', '0s')
        const first = await MountedFile.open(t, where.mountpoint, 'a.raw')
        // 2 MiB are held, one block of them also by the page cache.
        const held = await first.read({ offset: 0, length: 1 * MiB })
        await first.read({ offset: 1 * MiB, length: 1 * MiB })
        await first.read({ offset: 0, length: 100 }, 'buffered')
        t.ok(held.equals(old.subarray(0, 1 * MiB)))
        await until(() => isHeld(where, 2 * MiB), patienceMs, 'the promotion')
        const inode = statSync(target).ino
        await change(source)

        mustBeHeld(t, await readBlocks(first), 32, `${scheme}: what was held stays, the rest is gone`)
        // The kernel keeps a name for a second.
        await until(() => statSync(target).ino !== inode, patienceMs, 'the new version')
        const second = await MountedFile.open(t, where.mountpoint, 'a.raw')
        for (const kind of ['direct', 'buffered'] as const) {
          t.ok((await second.read({ offset: 0, length: old.length }, kind)).equals(fresh), `${scheme}: new, ${kind}`)
          t.ok(
            (await first.read({ offset: 5, length: block }, kind)).equals(old.subarray(5, 5 + block)),
            'the old one as before',
          )
        }
        mustBeHeld(t, await readBlocks(first), 32, `${scheme}: still`)
        const { images } = await statusOf(where)
        t.match(images, [{ name: 'a.raw', sizeBytes: fresh.length }])
        await Promise.all([first.close(), second.close()])
      }
    },
  )
}

t.test('an image that becomes longer or shorter has one size per version', options, async t => {
  for (const where of await origins(t)) {
    const [source, target] = ['originDirectory', 'mountpoint'].map(key =>
      join(where[key as 'mountpoint'], 'a.raw'),
    ) as [string, string]
    writeFileSync(source, Buffer.alloc(200_000, 'a'))
    await mountDaemon(t, where, '--revalidate', '0s')
    const files: [MountedFile, number][] = []
    for (const size of [200_000, 300_001, 1, 0, 70_000]) {
      writeFileSync(source, Buffer.alloc(size, 'b'))
      await until(() => statSync(target).size === size, patienceMs, `${size} bytes`)
      const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
      const bytes = await file.read({ offset: 0, length: MiB })
      t.ok(bytes.equals(Buffer.alloc(size, 'b')), `${size} bytes`)
      files.push([file, size])
    }
    for (const [file, size] of files) {
      t.equal(await file.size(), size)
      await file.close()
    }
  }
})

t.test(
  'an image that goes away is no name any more, and those who have it open read what is held',
  options,
  async t => {
    const where = place(t)
    const source = join(where.originDirectory, 'a.raw')
    writeSample(source, before)
    await mountDaemon(t, where, '--revalidate', '0s')
    const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
    await file.read({ offset: 0, length: block })
    await until(() => isHeld(where, block), patienceMs, 'the promotion')
    rmSync(source)
    const isGone = () => statSync(join(where.mountpoint, 'a.raw'), { throwIfNoEntry: false }) === undefined
    await until(isGone, patienceMs, 'the name to go')
    mustBeHeld(t, await readBlocks(file), 1)
  },
)

/** The tree builder: pieces of a bounded size, whatever the blocks are. Its bytes are veritysetup's (cli/commands/seal). */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MiB } from '../../../src/base/limits.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { TreeBuilder } from '../../../src/origin/sealed/tree-builder.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

t.test('an image is read in pieces of 4 MiB a thread, also where one block of the tree covers gigabytes', async t => {
  const directory = t.testdir()
  const image = await open(join(directory, 'image'), 'w+')
  await image.truncate(24 * MiB)
  const reads: number[] = []
  const counted = {
    read: (...args: [Buffer, number, number, number]) => {
      reads.push(args[2])
      return image.read(...args)
    },
  } as unknown as FileHandle
  const roots = new Set<string>()
  for (const threads of [1, 3]) {
    reads.length = 0
    const tree = await open(join(directory, `tree-${threads}`), 'w+')
    const blockBytes = 512 * 1024
    const parameters = { hashType: 1, algorithm: 'sha256', salt: '00' } as const
    const sizes = { dataBlockBytes: blockBytes, hashBlockBytes: blockBytes, dataBlocks: (24 * MiB) / blockBytes }
    const done: number[] = []
    const builder = new TreeBuilder({
      parameters: { ...parameters, ...sizes },
      ...{ uuid: '00'.repeat(16), threads, proofs: loadAddon(), onProgress: bytes => done.push(bytes) },
    })
    roots.add(await builder.build(counted, tree, { signal }))
    t.equal(Math.max(...reads), 4 * MiB * threads)
    t.same(done.at(-1), 24 * MiB)
    t.equal((await tree.stat()).size, 2 * blockBytes)
    await tree.close()
  }
  t.equal(roots.size, 1)
  await image.close()
})

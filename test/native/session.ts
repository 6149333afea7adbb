/**
 * The session threads on a real mount: what they answer themselves, what they hand over, and how they end.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { mountTiny, opcodes, type TinyFuse } from '../fixtures/tiny-fuse.ts'

const blockBytes = 65536
const sizeBytes = 9 * 1024 * 1024 + 12345
const image = randomBytes(sizeBytes)
const canMount = process.getuid?.() === 0

interface Rig {
  readonly fuse: TinyFuse
  readonly path: string
  readonly dataPath: string
  readonly resident: BigUint64Array<ArrayBuffer>
  readonly generations: Uint32Array<ArrayBuffer>
}

/** A mount whose store holds the whole image; nothing is resident yet. */
async function start(t: Test): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'parentfs-session-'))
  await mkdir(join(directory, 'mnt'))
  const addon = loadAddon()
  const engine = addon.createEngine({ storeThreads: 4 })
  engine.setTick(77)
  const dataPath = join(directory, 'data')
  const file = engine.openFile(dataPath, sizeBytes, blockBytes)
  for (let at = 0; at < sizeBytes; at += 64 * blockBytes) await file.land(at, image.subarray(at, at + 64 * blockBytes))
  const mountpoint = join(directory, 'mnt')
  const onMiss = (offset: number, length: number) => image.subarray(offset, offset + length)
  const fuse = mountTiny({ addon, engine, mountpoint, file, sizeBytes, threads: 4, onMiss })
  t.teardown(async () => {
    await fuse.close()
    file.close()
    await engine.close()
    await rm(directory, { recursive: true })
  })
  const resident = new BigUint64Array(file.table)
  return { fuse, path: join(mountpoint, 'image'), dataPath, resident, generations: new Uint32Array(file.table) }
}

function publishAll({ resident }: Rig): void {
  for (let object = 0; object < resident.length / 2; object++) Atomics.store(resident, object * 2, ~0n)
}

t.test('on a mount', { skip: canMount ? false : 'mounting needs root' }, async t => {
  t.test('what is not resident comes to JavaScript, and what is does not', async t => {
    const rig = await start(t)
    const { fuse, path } = rig
    t.ok((await readFile(path)).equals(image), 'cold')
    t.ok(fuse.seen.get(opcodes.read)! > 0)
    t.equal(fuse.session.counters().hits, 0)

    publishAll(rig)
    const missesBefore = fuse.seen.get(opcodes.read)
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECT) // Past the kernel's page cache.
    const target = new Uint8Array(1 << 20)
    const { bytesRead } = await handle.read(target, 0, 1 << 20, 4 << 20)
    await handle.close()
    t.equal(bytesRead, 1 << 20)
    t.ok(Buffer.from(target.buffer).equals(image.subarray(4 << 20, 5 << 20)), 'warm')
    t.equal(fuse.seen.get(opcodes.read), missesBefore)
    const counters = fuse.session.counters()
    t.ok(counters.hits > 0)
    t.equal(counters.hitBytes, 1 << 20)
    t.equal(new Uint32Array(rig.resident.buffer)[4 + 3], 77, 'lastUse of the object that was read')
    t.equal(new Uint32Array(rig.resident.buffer)[3], 0, 'and of another')
  })
})

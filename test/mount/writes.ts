/** Nothing in a mount can be changed, also where root has mounted it for writing. */
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, mountDaemon, place } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'

const image = { seed: 3, sizeBytes: 1024 ** 2 + 1 }

/** Every way to change something that Node.js has, as root. */
function changes(directory: string, outside: string): Readonly<Record<string, () => unknown>> {
  const [file, other] = [join(directory, 'a.raw'), join(directory, 'b.raw')]
  return {
    'open for writing': () => openSync(file, 'r+'),
    'open for appending': () => openSync(file, 'a'),
    'open and truncate': () => openSync(file, constants.O_RDONLY | constants.O_TRUNC),
    create: () => openSync(other, 'w'),
    'create exclusively': () => openSync(other, 'wx'),
    truncate: () => truncateSync(file, 1),
    extend: () => truncateSync(file, 2 * image.sizeBytes),
    unlink: () => unlinkSync(file),
    rename: () => renameSync(file, other),
    link: () => linkSync(file, other),
    symlink: () => symlinkSync(outside, other),
    mkdir: () => mkdirSync(other),
    chmod: () => chmodSync(file, 0o600),
    chown: () => chownSync(file, 1, 1),
    utimes: () => utimesSync(file, 1, 1),
    'chmod of the root': () => chmodSync(directory, 0o700),
  }
}

t.test('every change is EROFS, and changes nothing', { skip: cannotMount }, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where)
  const file = join(where.mountpoint, 'a.raw')
  const before = statSync(file)
  t.throws(() => accessSync(file, constants.W_OK), { code: 'EROFS' })
  for (const how of ['as mounted', 'mounted for writing']) {
    if (how === 'mounted for writing') await run('mount', '-i', '-o', 'remount,rw', where.mountpoint)
    for (const [what, change] of Object.entries(changes(where.mountpoint, where.top))) {
      t.throws(change, { code: 'EROFS' }, `${what}, ${how}`)
    }
    t.match(await attempt('mkfifo', join(where.mountpoint, 'pipe')), { code: 1, stderr: /Read-only file system/ })
    t.match(await attempt('touch', join(where.mountpoint, 'new')), { code: 1, stderr: /Read-only file system/ })
    t.match(await attempt('fallocate', '-l', '1', file), { code: 1, stderr: /Read-only file system/ })
  }
  t.same(readdirSync(where.mountpoint), ['a.raw'])
  t.match(statSync(file), { size: before.size, mode: before.mode, uid: before.uid, mtimeMs: before.mtimeMs })
  t.ok(readFileSync(file).equals(sampleBytes(image, 0, image.sizeBytes)))
})

/**
 * A directory as an origin: its contract, its walls, its holes, and files that change while they are read.
 */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { originDescriptorsMax } from '../../../src/base/limits.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { FileOrigin, tickMsOf } from '../../../src/origin/file/file-origin.ts'
import { fileTickMs, wholeSecondsTickMs } from '../../../src/origin/file/limits.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { cellBytes, cellKind, writeSample } from '../../fixtures/images.ts'
import { until } from '../../fixtures/until.ts'

const signal = new AbortController().signal

originContract('a directory', async directory => new FileOrigin(pathToFileURL(directory).href, loadAddon()))
originContract('a directory that knows no holes', async directory => {
  return new FileOrigin(pathToFileURL(directory).href, noHoles)
})
originContract('a directory behind a link and a slash', async (directory, t) => {
  const home = mkdtempSync(join(tmpdir(), 'parentfs-link-'))
  t.teardown(() => rmSync(home, { recursive: true }))
  symlinkSync(directory, join(home, 'link'))
  return new FileOrigin(`${pathToFileURL(join(home, 'link')).href}/`, noHoles)
})

t.test('a link is served when it stays inside, and refused when it leaves', async t => {
  const home = t.testdir({
    images: { 'a.img': 'inside', sub: { 'b.img': 'below' } },
    'secret.img': 'outside',
    images2: { c: 'c' },
  })
  const at = (name: string) => join(home, 'images', name)
  symlinkSync('a.img', at('inside.img'))
  symlinkSync(at('a.img'), at('absolute.img'))
  symlinkSync('sub/b.img', at('below.img'))
  symlinkSync('../secret.img', at('outside.img'))
  symlinkSync('../images2/c', at('beside.img'))
  symlinkSync('/etc/passwd', at('passwd.img'))
  symlinkSync('../images/a.img', at('around.img'))
  symlinkSync('/dev/zero', at('device.img'))
  symlinkSync('loop.img', at('loop.img'))
  symlinkSync('gone.img', at('dangling.img'))
  symlinkSync('sub', at('directory.img'))
  const origin = new FileOrigin(pathToFileURL(join(home, 'images')).href, noHoles)
  t.teardown(() => origin.close())
  for (const name of ['inside.img', 'absolute.img', 'around.img']) {
    t.equal((await origin.lookup(name, { signal })).sizeBytes, 6, name)
  }
  t.equal((await origin.lookup('below.img', { signal })).sizeBytes, 5)
  for (const name of ['outside.img', 'beside.img', 'passwd.img', 'device.img']) {
    await t.rejects(origin.lookup(name, { signal }), { code: 'access-denied' }, name)
  }
  for (const name of ['loop.img', 'dangling.img', 'directory.img', 'sub']) {
    await t.rejects(origin.lookup(name, { signal }), { code: 'not-found' }, name)
  }
  const names = [...(await origin.list({ signal }))].sort()
  t.same(names, ['a.img', 'absolute.img', 'around.img', 'below.img', 'inside.img'])
})

t.test('what is no regular file is not there, and nobody waits for it', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-files-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'directory'))
  execFileSync('mkfifo', [join(directory, 'pipe')])
  const server = createServer().listen(join(directory, 'socket'))
  t.teardown(() => server.close())
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  t.teardown(() => origin.close())
  for (const name of ['directory', 'pipe', 'socket']) {
    await t.rejects(origin.lookup(name, { signal }), { code: 'not-found' }, name)
  }
  t.same(await origin.list({ signal }), [])
})

t.test('a directory that has gone is origin-unreachable: its images may still be there', async t => {
  const home = t.testdir({ images: { 'a.img': 'x' } })
  const origin = new FileOrigin(pathToFileURL(join(home, 'images')).href, noHoles)
  t.teardown(() => origin.close())
  await origin.lookup('a.img', { signal })
  renameSync(join(home, 'images'), join(home, 'elsewhere'))
  await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-unreachable' })
  await t.rejects(origin.list({ signal }), { code: 'origin-unreachable' })
  writeFileSync(join(home, 'images'), 'a file now')
  await t.rejects(origin.list({ signal }), { code: 'origin-unreachable' })
})

const asRoot = process.getuid?.() === 0
t.test('a file that we may not read is access-denied', async t => {
  const home = mkdtempSync(join(tmpdir(), 'parentfs-denied-'))
  t.teardown(() => rmSync(home, { recursive: true }))
  writeFileSync(join(home, 'a.img'), 'x')
  chmodSync(join(home, 'a.img'), 0o000)
  if (asRoot) {
    // Root may read all: only another user is refused.
    chownSync(home, 65_534, 65_534)
    process.seteuid?.(65_534)
  }
  const origin = new FileOrigin(pathToFileURL(home).href, noHoles)
  t.teardown(() => origin.close())
  try {
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'access-denied' })
  } finally {
    if (asRoot) process.seteuid?.(0)
  }
})

t.test('every way to change a file makes another version of it', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000), 'b.img': 'y'.repeat(1000) })
  const path = join(directory, 'a.img')
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  t.teardown(() => origin.close())
  const changes: Record<string, () => void> = {
    'written in place': () => writeFileSync(path, 'z', { flag: 'r+' }),
    'made longer': () => appendFileSync(path, 'more'),
    'made shorter': () => truncateSync(path, 500),
    'replaced by rename': () => renameSync(join(directory, 'b.img'), path),
  }
  for (const [what, change] of Object.entries(changes)) {
    const image = identify(await origin.lookup('a.img', { signal }))
    await origin.read(image, 0, new Uint8Array(100), { signal })
    change()
    await t.rejects(origin.read(image, 0, new Uint8Array(100), { signal }), { code: 'image-changed' }, what)
    t.not((await origin.lookup('a.img', { signal })).validator, image.validator, what)
  }
})

t.test('a file that has changed within the tick of its clock is looked at again when that is over', async t => {
  const directory = t.testdir({ 'a.img': 'before' })
  const path = join(directory, 'a.img')
  for (const sinceMs of [0, fileTickMs - 1, -1e9]) {
    let ageMs = sinceMs
    const pauses: number[] = []
    const pause = async (ms: number) => {
      pauses.push(ms)
      writeFileSync(path, `later: ${sinceMs}`)
      ageMs = fileTickMs + 1
    }
    const now = () => statSync(path).ctimeMs + ageMs
    const origin = new FileOrigin(pathToFileURL(directory).href, noHoles, { now, waiting: { pause } })
    t.teardown(() => origin.close())
    const image = identify(await origin.lookup('a.img', { signal }))
    t.equal(pauses.length, 1, `${sinceMs}`)
    const target = Buffer.alloc(image.sizeBytes)
    await origin.read(image, 0, target, { signal })
    t.equal(target.toString(), `later: ${sinceMs}`)
    await origin.lookup('a.img', { signal })
    t.equal(pauses.length, 1, 'what is older is taken as it is')
  }
})

t.test('a time of whole seconds is taken for one that has no others', async t => {
  t.equal(tickMsOf(1_700_000_000_000_000_000n), wholeSecondsTickMs)
  t.equal(tickMsOf(1_700_000_000_004_000_000n), fileTickMs)
})

t.test('a file that changes while it is read fails the read', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  /** Memory of a reader: when the bytes come, the file changes. */
  class Target extends Uint8Array {
    override set(bytes: ArrayLike<number>, at?: number): void {
      super.set(bytes, at)
      writeFileSync(join(directory, 'a.img'), 'z', { flag: 'r+' })
    }
  }
  await t.rejects(origin.read(image, 0, new Target(1000), { signal }), { code: 'image-changed' })
})

t.test('a version that has been replaced keeps no file open', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000), 'b.img': 'y'.repeat(1000) })
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  await origin.read(image, 0, new Uint8Array(10), { signal })
  const isOpen = () => openFiles().some(path => path.startsWith(join(directory, 'a.img')))
  await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal: AbortSignal.abort() }), { code: 'aborted' })
  t.ok(isOpen(), 'for the next read')
  renameSync(join(directory, 'b.img'), join(directory, 'a.img'))
  await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal }), { code: 'image-changed' })
  await until(() => !isOpen(), 10_000, 'the end of the descriptor')
})

t.test('a file that fails is opened anew', async t => {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  const some = await open(directory)
  const handles = Object.getPrototypeOf(some) as FileHandle
  await some.close()
  const { stat } = handles
  let seen = new WeakSet<FileHandle>()
  let dead = new WeakSet<FileHandle>()
  // As the files of a server that was started anew.
  t.intercept(handles, 'stat', {
    value: async function (this: FileHandle, options: { bigint: true }) {
      if (dead.has(this)) throw Object.assign(new Error('ESTALE: stale file handle, fstat'), { code: 'ESTALE' })
      seen.add(this)
      return await stat.call(this, options)
    },
  })
  await origin.read(image, 0, new Uint8Array(10), { signal })
  dead = seen
  seen = new WeakSet()
  await t.rejects(origin.read(image, 0, new Uint8Array(10), { signal }), { code: 'origin-failed' })
  await origin.read(image, 0, new Uint8Array(10), { signal })
})

t.test('holes are found where they are', async t => {
  const directory = t.testdir()
  const image = { seed: 3, sizeBytes: 40 * cellBytes + 100, dataShare: 0.5 }
  writeSample(join(directory, 'a.img'), image)
  const origin = new FileOrigin(pathToFileURL(directory).href, loadAddon())
  t.teardown(() => origin.close())
  const known = identify(await origin.lookup('a.img', { signal }))
  for (let index = 0; index * cellBytes < image.sizeBytes; index++) {
    const extent = await origin.extentAt(known, index * cellBytes + 7, { signal })
    t.equal(extent?.hole, cellKind(image, index) === 'hole', `cell ${index}`)
    t.ok(extent !== null && extent.end % cellBytes === 0 ? true : extent?.end === image.sizeBytes)
  }
  t.equal(await origin.extentAt(known, image.sizeBytes, { signal }), null)
})

t.test('an image of terabytes can be read at its far end', async t => {
  const directory = t.testdir()
  const sizeBytes = 3 * 1024 ** 4 + 1
  writeFileSync(join(directory, 'a.img'), '')
  truncateSync(join(directory, 'a.img'), sizeBytes)
  const origin = new FileOrigin(pathToFileURL(directory).href, loadAddon())
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  t.equal(image.sizeBytes, sizeBytes)
  const target = new Uint8Array(10).fill(1)
  await origin.read(image, sizeBytes - 10, target, { signal })
  t.ok(target.every(byte => byte === 0))
  t.same(await origin.extentAt(image, 2 ** 41, { signal }), { hole: true, end: sizeBytes })
})

t.test('a bounded number of files stays open, and none after closing', async t => {
  const directory = t.testdir()
  const count = originDescriptorsMax + 20
  for (let k = 0; k < count; k++) writeFileSync(join(directory, `${k}.img`), `image ${k}`)
  const origin = new FileOrigin(pathToFileURL(directory).href, noHoles)
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  for (let k = 0; k < count; k++) {
    const image = identify(await origin.lookup(`${k}.img`, { signal }))
    const target = new Uint8Array(image.sizeBytes)
    await origin.read(image, 0, target, { signal })
    t.equal(Buffer.from(target).toString(), `image ${k}`)
  }
  t.ok(open() - before <= originDescriptorsMax, `${open() - before} more than before`)
  t.ok(open() - before > originDescriptorsMax - 5, 'and they do stay')
  await origin.close()
  t.ok(open() <= before)
})

/** Targets of this process's descriptors. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return [] // It was that of the directory itself, or has been closed.
    }
  })
}

t.test('readers are given its own file, of exactly the version that they ask for', async t => {
  const directory = t.testdir({ 'a.img': 'first' })
  const origin = new FileOrigin(pathToFileURL(directory).href, loadAddon())
  t.teardown(() => origin.close())
  const image = identify(await origin.lookup('a.img', { signal }))
  const file = await origin.openFile(image, { signal })
  t.equal(readlinkSync(`/proc/self/fd/${file!.fd}`), join(directory, 'a.img'))
  writeFileSync(join(directory, 'b.img'), 'other')
  renameSync(join(directory, 'b.img'), join(directory, 'a.img'))
  t.ok(readlinkSync(`/proc/self/fd/${file!.fd}`).endsWith('(deleted)'), 'it stays as it was')
  await file!.close()
  const descriptors = () => readdirSync('/proc/self/fd').length
  const before = descriptors()
  await t.rejects(origin.openFile(image, { signal }), { code: 'image-changed' })
  rmSync(join(directory, 'a.img'))
  await t.rejects(origin.openFile(image, { signal }), { code: 'image-changed' })
  const leaving = new AbortController()
  const left = origin.openFile(image, { signal: leaving.signal })
  leaving.abort()
  await t.rejects(left)
  await until(() => descriptors() <= before, 10_000, 'what was opened to be closed')
})

/**
 * Hostile contents of a cache directory, put there while no daemon used it, or before it makes a file: links that lead
 * outside, pipes, devices, directories, files of other lengths or of other images. Reads give right bytes, or a refusal
 * that says what to do. Nothing waits, and nothing outside is touched.
 */
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { withTimeout } from '../../src/async/with-timeout.ts'
import { isCacheError, messageOf } from '../../src/base/errors.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms } from '../fixtures/rooms.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const sizeBytes = 300 * 1024
const names = ['a', 'b'] as const
const origin = new MemoryOrigin()
for (const [k, name] of names.entries()) origin.put(name, sizeBytes, 31 + k)
const remedy = /remove .* to start|name an empty directory|name another directory/
/** Longest that a start, every read and a stop may take. */
const msMax = patienceMs

/** Put something in the place of `path`; `outside` is a foreign directory. */
type Plant = (path: string, outside: string) => void

/** Files that are not the daemon's, whatever they were. */
const strange: Record<string, Plant> = {
  'nothing in it': path => truncateSync(path, 0),
  'cut in the middle': path => truncateSync(path, Math.floor(statSync(path).size / 2)),
  grown: path => truncateSync(path, statSync(path).size + 4096),
  'a link to a file elsewhere': (path, outside) => {
    cpSync(path, join(outside, 'theirs'))
    exchange(path, () => symlinkSync(join(outside, 'theirs'), path))
  },
  'a link to nothing': (path, outside) => exchange(path, () => symlinkSync(join(outside, 'new'), path)),
  'a link to itself': path => exchange(path, () => symlinkSync(path, path)),
  'a file that has a name elsewhere': (path, outside) => linkSync(path, join(outside, 'theirs')),
  'a directory': path => exchange(path, () => mkdirSync(join(path, 'below'), { recursive: true })),
  'a pipe': path => exchange(path, () => execFileSync('mkfifo', [path])),
  'a link to a device that has no end': path => exchange(path, () => symlinkSync('/dev/zero', path)),
}
if (process.getuid?.() === 0) {
  strange['a device that has no end'] = path => exchange(path, () => execFileSync('mknod', [path, 'c', '1', '5']))
}

const [clean, killed] = await fillTwo()

for (const [what, plant] of Object.entries(strange)) {
  t.test(`a data file that is ${what} is fetched again`, async t => {
    const { directory, outside } = copyOf(t, killed)
    plant(dataFile(directory), outside)
    await serves(t, directory, outside, 'right')
  })
}

for (const file of ['data.mdb', 'CLEAN', 'lock.mdb', 'salvaged']) {
  t.test(`index/${file} that is not what it was: right bytes, or what to do`, async t => {
    for (const [what, plant] of Object.entries(strange)) {
      const { directory, outside } = copyOf(t, clean)
      const path = join(directory, 'index', file)
      if (file === 'lock.mdb' || file === 'salvaged') writeFileSync(path, Buffer.alloc(8192))
      plant(path, outside)
      // Not what is as good as absent: a mark that cannot be read, and what is made anew anyway.
      await serves(t, directory, outside, file === 'data.mdb' ? 'refused' : 'any', `${file}: ${what}`)
    }
  })
}

t.test('VERSION and directories that are not what they were are refused', async t => {
  for (const [what, plant] of Object.entries(strange)) {
    const { directory, outside } = copyOf(t, clean)
    plant(join(directory, 'VERSION'), outside)
    await serves(t, directory, outside, 'refused', `VERSION: ${what}`)
  }
  for (const file of ['images', 'index', 'trees']) {
    for (const what of ['a link to nothing', 'a link to itself', 'a pipe']) {
      const { directory, outside } = copyOf(t, clean)
      strange[what]!(join(directory, file), outside)
      await serves(t, directory, outside, 'refused', `${file}: ${what}`)
    }
    const { directory, outside } = copyOf(t, clean)
    renameSync(join(directory, file), join(outside, file))
    symlinkSync(join(outside, file), join(directory, file))
    await serves(t, directory, outside, 'refused', `${file}: a link to a directory elsewhere`)
  }
})

t.test('data files that were exchanged, and an index of another cache, give right bytes', async t => {
  const { directory, outside } = copyOf(t, killed)
  const [a, b] = readdirSync(join(directory, 'images')).map(name => join(directory, 'images', name))
  renameSync(a!, join(directory, 'between'))
  renameSync(b!, a!)
  renameSync(join(directory, 'between'), b!)
  await serves(t, directory, outside, 'right')
  const other = copyOf(t, clean)
  const empty = mkdtempSync(join(other.outside, 'empty-'))
  await (await openRooms({ directory: empty, origin })).close()
  rmSync(join(other.directory, 'index'), { recursive: true })
  cpSync(join(empty, 'index'), join(other.directory, 'index'), { recursive: true })
  rmSync(empty, { recursive: true })
  await serves(t, other.directory, other.outside, 'right')
})

t.test('a directory that takes the place of the cache once it is open is not touched', async t => {
  for (const [what, spoil] of [
    ['sound', () => {}],
    // A record of the images: then the index is copied.
    ['damaged', (path: string) => writeFileSync(path, flipped(readFileSync(path)))],
  ] as const) {
    const { directory, outside } = copyOf(t, killed)
    spoil(join(directory, 'index', 'data.mdb'))
    // Files that a start would remove: a data file that no record knows, locks, a copy that was not finished, the mark,
    // a probe.
    for (const name of [
      'images/file',
      'images/tree/below',
      'index/lock.mdb',
      'index/salvaged/below',
      'index/CLEAN',
      'PROBE',
    ]) {
      mkdirSync(join(outside, name, '..'), { recursive: true })
      writeFileSync(join(outside, name), 'theirs')
    }
    cpSync(join(directory, 'index', 'data.mdb'), join(outside, 'index', 'data.mdb'))
    const before = contents(outside)
    const away = `${directory}-away`
    const onOpen = () => {
      renameSync(directory, away)
      symlinkSync(outside, directory)
    }
    const rooms = await openRooms({ directory, origin, onOpen, isInDoubt: what === 'damaged' })
    t.equal(await wrongIn(rooms), '', what)
    await until(() => names.every(name => isComplete(rooms, name)), patienceMs, 'promotion')
    await rooms.close()
    t.same(contents(outside), before, what)
    t.same(readdirSync(away).sort(), ['VERSION', 'images', 'index', 'trees'], 'the cache is where it was moved to')
    t.ok(readdirSync(join(away, 'index')).includes('CLEAN'))
  }
})

t.test('what lies where a data file is to be made makes way for it', async t => {
  const { directory: known, outside } = copyOf(t, clean)
  const files = readdirSync(join(known, 'images'))
  for (const [what, plant] of Object.entries(strange)) {
    const directory = join(outside, 'fresh')
    mkdirSync(directory, { mode: 0o700 })
    const rooms = await openRooms({ directory, origin })
    for (const name of files) {
      writeFileSync(join(directory, 'images', name), Buffer.alloc(sizeBytes, 7))
      plant(join(directory, 'images', name), outside)
      rmSync(join(outside, 'theirs'), { force: true })
    }
    t.equal(await wrongIn(rooms), '', what)
    await until(() => names.every(name => isComplete(rooms, name)), patienceMs, `promotion over ${what}`)
    t.equal(await wrongIn(rooms), '', what)
    await rooms.close()
    rmSync(directory, { recursive: true })
    t.same(readdirSync(outside), [], what)
  }
})

/** The cache opens and serves right bytes, or says what to do; in time, and `outside` stays as it is. */
async function serves(t: Test, directory: string, outside: string, wanted: 'right' | 'refused' | 'any', what = '') {
  const before = contents(outside)
  let outcome: string
  try {
    const late = () => new Error(`nothing for ${msMax} ms`)
    outcome = await withTimeout(msMax, serve(directory), late)
  } catch (error) {
    if (!isCacheError(error)) throw error
    t.match(messageOf(error), remedy, what)
    outcome = 'refused'
  }
  if (wanted === 'any') t.match(outcome, /^(right|refused)$/, what)
  else t.equal(outcome, wanted, what)
  t.same(contents(outside), before, `${what}: what lies outside`)
}

async function serve(directory: string): Promise<string> {
  const rooms = await openRooms({ directory, origin })
  try {
    return (await wrongIn(rooms)) || (await wrongIn(rooms)) || 'right'
  } finally {
    await rooms.close()
  }
}

async function wrongIn({ cache }: Rooms): Promise<string> {
  for (const name of names) {
    const { image } = await cache.lookup(null, name, { signal: forever })
    const bytes = await cache.read(image, 0, sizeBytes, { signal: forever })
    if (!origin.bytes(name, 0, sizeBytes).equals(bytes)) return `wrong bytes of ${name}`
  }
  return ''
}

function isComplete({ cache }: Rooms, name: string): boolean {
  return cache.images().find(image => image.name === name)?.complete === true
}

/** A database with pages that have other numbers than their places: see test/index/recovery/salvage.ts. */
function flipped(bytes: Buffer): Buffer {
  for (let page = 2; page < bytes.length / 4096; page++) bytes[page * 4096 + 5]! ^= 1
  return bytes
}

/** A cache that was closed properly, and a copy of it from while it was open. */
async function fillTwo(): Promise<[string, string]> {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-hostile-'))
  t.teardown(() => rmSync(top, { recursive: true, force: true }))
  const [closed, copied] = [join(top, 'clean'), join(top, 'killed')]
  const rooms = await openRooms({ directory: closed, origin })
  await wrongIn(rooms)
  await until(() => names.every(name => isComplete(rooms, name)), patienceMs, 'promotion')
  await rooms.store.flush()
  cpSync(closed, copied, { recursive: true })
  await rooms.close()
  return [closed, copied]
}

/** A copy of a cache, and a foreign directory. */
function copyOf(t: Pick<Test, 'teardown'>, cache: string): { directory: string; outside: string } {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-hostile-'))
  t.teardown(() => rmSync(top, { recursive: true, force: true }))
  const [directory, outside] = [join(top, 'cache'), join(top, 'outside')]
  cpSync(cache, directory, { recursive: true })
  mkdirSync(outside)
  return { directory, outside }
}

function dataFile(directory: string): string {
  return join(directory, 'images', readdirSync(join(directory, 'images'))[0]!)
}

function exchange(path: string, make: () => void): void {
  rmSync(path, { recursive: true })
  make()
}

/** Everything in a directory, by name: what it is, and its bytes. */
function contents(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    entries.map(name => {
      const path = join(directory, name)
      const { mode, ino, size } = lstatSync(path)
      const bytes = lstatSync(path).isFile() ? readFileSync(path).toString('base64') : ''
      return [basename(name), `${mode} ${ino} ${size} ${bytes}`]
    }),
  )
}

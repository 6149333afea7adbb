/** Moves of the cache to another directory: what goes along, what is refused, and what is left behind. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { configure } from '../../../src/daemon/config/configuration.ts'
import type { CacheMove } from '../../../src/daemon/config/settings.ts'
import type { UpgradeOutcome } from '../../../src/daemon/ipc/messages.ts'
import { CacheMover, type MoveRequest, movedDatabases } from '../../../src/daemon/worker/cache-move.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { openCacheDirectory } from '../../../src/store/disk/cache-directory.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const addon = loadAddon()
const blockBytes = 65_536
const word = { name: 'a', mode: 'none', over: null }
const origin = 'memory://here'

function setUp(t: Test, last: Partial<CacheMove> | null = null) {
  const top = t.testdir({ from: {}, mnt: {} })
  const [from, to] = [join(top, 'from'), join(top, 'to')]
  const document = { origin: { url: 'http://host/' }, cache: { directory: from } }
  const configuration = configure({ document, mountpoint: join(top, 'mnt') }, { uid: 0, gid: 0, home: '/root' })
  const move = last && { from, to, passed: [], isNew: true, isClean: false, ...last }
  const mover = new CacheMover(move, configuration, addon)
  const bypassed = () => new CacheMover(move, configuration, addon, 'the cache is bypassed: crashes')
  return { top, from, to, mover, bypassed }
}

const nobody = async () => void t.fail('nobody is to hear')

/** What a cache has in its directory. */
async function fill(directory: string): Promise<void> {
  const opened = openCacheDirectory(directory, blockBytes, addon)
  writeFileSync(opened.images.at('0123'), 'bytes')
  const index = new IndexDatabase(opened.index)
  await index.putMode(origin, word)
  await index.record([{ imageId: 'ab'.repeat(16), object: 0, blocks: () => 1n, zero: 0n, sums: new Uint32Array(64) }])
  await index.close()
  opened.unlock()
}

t.test('what is known of images goes along, cached blocks do not', async t => {
  t.same([...movedDatabases].sort(), [
    'counters',
    'hitsets',
    'images',
    'listings',
    'modes',
    'names',
    'pins',
    'profiles',
  ])
  const { from, to, mover } = setUp(t, { passed: ['x'] })
  await fill(from)
  const logger = keepingLogger()
  const opened = openCacheDirectory(to, blockBytes, addon)
  await mover.begin(opened, logger)
  const index = new IndexDatabase(opened.index)
  t.match(index.modes(origin), [word])
  index.forEachObject(() => t.fail('no block comes along'))
  await index.close()
  t.same([opened.images.names(), mover.left, mover.passed, logger.lines], [[], from, ['x'], []])
  opened.unlock()
})

t.test('what the host knows of its group goes along, and nothing of it stays where it was', async t => {
  const { from, to, mover } = setUp(t, {})
  await fill(from)
  writeFileSync(join(from, 'fleet-members.json'), 'members')
  writeFileSync(join(from, 'fleet-registrations.json'), 'registrations')
  for (const name of ['PROBE', 'fleet-members.json.0badcafe']) writeFileSync(join(from, name), 'begun')
  // Of a try that failed.
  mkdirSync(to)
  const begun = openCacheDirectory(to, blockBytes, addon)
  writeFileSync(begun.top.at('fleet-members.json'), 'nobody')
  begun.unlock()
  const opened = openCacheDirectory(to, blockBytes, addon)
  const logger = keepingLogger()
  await mover.begin(opened, logger)
  t.equal(readFileSync(join(to, 'fleet-members.json'), 'utf8'), 'members')
  t.equal(readFileSync(join(to, 'fleet-registrations.json'), 'utf8'), 'registrations')
  opened.unlock()
  await mover.emptyLeft(async () => {})
  t.same([readdirSync(from), logger.lines], [[], []], 'it can be a cache again')
})

t.test('a second try begins anew, and a move that is over copies nothing', async t => {
  for (const isNew of [true, false]) {
    const { from, to, mover } = setUp(t, { isNew })
    await fill(from)
    const opened = openCacheDirectory(to, blockBytes, addon)
    const before = new IndexDatabase(opened.index)
    await before.putMode('memory://nowhere', word)
    await before.close()
    await mover.begin(opened, keepingLogger())
    const index = new IndexDatabase(opened.index)
    t.equal(index.modes('memory://nowhere').length, isNew ? 0 : 1)
    t.equal(index.modes(origin).length, isNew ? 1 : 0)
    await index.close()
    opened.unlock()
  }
})

t.test('an index that is gone is said, and the cache begins without its images', async t => {
  const { from, to, mover } = setUp(t, {})
  await fill(from)
  rmSync(join(from, 'index'), { recursive: true })
  const logger = keepingLogger()
  const opened = openCacheDirectory(to, blockBytes, addon)
  await mover.begin(opened, logger)
  t.match(logger.lines, [{ level: 'error', message: 'the images of the index cannot be read' }])
  opened.unlock()
})

t.test('the directory that was left is emptied of what is ours, in as many tries as it takes', async t => {
  for (const gone of [[], ['images'], ['images', 'trees', 'index']]) {
    const { from, mover } = setUp(t, {})
    await fill(from)
    writeFileSync(join(from, 'letter'), 'dear')
    for (const name of gone) rmSync(join(from, name), { recursive: true })
    const said: string[] = []
    await mover.emptyLeft(async left => void said.push(left))
    t.same([readdirSync(from), said, mover.left], [['letter'], [from], null], `${gone}`)
    await mover.emptyLeft(nobody)
  }
  const { from, mover } = setUp(t, { isClean: true })
  await fill(from)
  t.equal(mover.left, null)
  await mover.emptyLeft(nobody)
  t.ok(existsSync(join(from, 'images', '0123')))
})

t.test('directories of earlier moves are emptied too, also where one of them cannot be', async t => {
  const { top, from, to, mover } = setUp(t, {
    isNew: false,
    earlier: ['one', 'two'].map(name => join(t.testdirName, name)),
  })
  const [one, two] = [join(top, 'one'), join(top, 'two')]
  for (const directory of [from, one, two]) await fill(directory)
  const [inUse, next] = [one, to].map(directory => openCacheDirectory(directory, blockBytes, addon))
  const logger = keepingLogger()
  await mover.begin(next!, logger)
  const said: string[] = []
  await mover.emptyLeft(async left => void said.push(left))
  t.same([said, mover.left], [[from, two], one])
  t.match(logger.lines, [{ level: 'error', facts: { directory: one } }])
  for (const directory of [from, two]) t.same(readdirSync(directory), [])
  for (const directory of [inUse, next]) directory!.unlock()
})

t.test('a directory that is in use stays as it is, and the log says so', async t => {
  const { from, to, mover } = setUp(t, { isNew: false })
  await fill(from)
  const [opened, next] = [from, to].map(directory => openCacheDirectory(directory, blockBytes, addon))
  const logger = keepingLogger()
  await mover.begin(next!, logger)
  await mover.emptyLeft(nobody)
  t.match(logger.lines, [{ level: 'error', message: 'the directory that the cache has left cannot be emptied' }])
  t.same([mover.left, existsSync(join(from, 'images', '0123'))], [from, true])
  for (const directory of [opened, next]) directory!.unlock()
})

t.test('a refused move gives images to the kernel again, one under way gives none', async t => {
  const { from, to, mover } = setUp(t)
  const suspended = { now: 0 }
  mover.use({
    suspend: () => {
      suspended.now++
      return { passed: ['x'], resume: () => void suspended.now-- }
    },
  })
  const asked: MoveRequest[] = []
  const answer = (refusal: string | null) => async (request: MoveRequest) => {
    asked.push(request)
    return { refusal } as unknown as UpgradeOutcome
  }
  await mover.move(to, answer('no'))
  t.equal(suspended.now, 0)
  await mover.move(to, answer(null))
  t.equal(suspended.now, 1)
  t.same(asked[0], { from, directory: to, passed: ['x'] })
  t.notOk(existsSync(to), 'nothing is made before')
})

t.test('a file, a directory within the other, or with files, is refused before anything changes', async t => {
  const { top, from, mover } = setUp(t)
  mkdirSync(join(top, 'full'))
  writeFileSync(join(top, 'full', 'letter'), 'dear')
  const ask = async () => t.fail('nobody is asked') as never
  for (const [to, code] of [
    [from, 'invalid-argument'],
    [join(from, 'below'), 'invalid-argument'],
    [top, 'invalid-argument'],
    [join(top, 'full'), 'cache-foreign'],
    [join(top, 'full', 'letter'), 'invalid-argument'],
    [join(top, 'full', 'letter', 'below'), 'invalid-argument'],
  ] as const) {
    await t.rejects(mover.move(to, ask), { code }, to)
  }
})

t.test('a cache that is bypassed does not move', async t => {
  const { to, bypassed } = setUp(t)
  const ask = async () => t.fail('nobody is asked') as never
  const message = 'the cache does not move: the cache is bypassed: crashes'
  await t.rejects(bypassed().move(to, ask), { code: 'mount-failed', message })
})

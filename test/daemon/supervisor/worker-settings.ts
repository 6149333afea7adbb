/** Settings that workers get at their boot: what has changed since the mount holds for those that follow. */
import t from 'tap'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { WorkerSettings } from '../../../src/daemon/supervisor/worker-settings.ts'

const origins = { a: { url: 'file:///a' }, b: { url: 'file:///b' } }
const settings: Settings = {
  ...{ configFile: '/p.yaml', mountpoint: '/mnt', cacheDirectory: '/c', source: null },
  log: { level: 'info', pretty: false, file: null },
  document: { origins },
}

t.test('an origin that leaves is named until it is removed, also where the file names it no more', async t => {
  let said: Record<string, unknown> = { origins: { a: origins.a } }
  const held = new WorkerSettings(settings, async () => said)
  held.leaving('b')
  held.leaving('b')
  t.same(held.current.leaving, ['b'])
  await held.readAgain()
  held.taken()
  t.same(held.current.document, { origins }, 'it is still there')
  t.same(held.current.leaving, ['b'])
  held.removed('b')
  t.same(held.current.document, { origins: { a: origins.a } })
  t.same(held.current.leaving, [])
  await held.readAgain()
  held.taken()
  t.same(held.current.document, said)
  // Named again while it leaves, it stays.
  said = { origins }
  await held.readAgain()
  held.taken()
  held.leaving('b')
  await held.readAgain()
  held.taken()
  t.same([held.current.leaving, held.current.document], [[], said])
})

t.test('what a worker has taken is what it names, whatever was read since', async t => {
  const [first, second] = [{ log: { level: 'debug' } }, { log: { level: 'info' }, nonsense: true }]
  const files: Record<string, unknown>[] = [first, second]
  const held = new WorkerSettings(settings, async () => files.shift()!)
  const read = await held.readAgain()
  await held.readAgain()
  held.taken(read)
  t.same(held.current.document, first, 'the worker may refuse the second')
  held.setLogLevel('debug')
  t.same(held.current.log, { ...settings.log, level: 'debug' })
  held.taken()
  t.same(held.current.document, second, 'of an earlier worker, the last one')
})

t.test('of many reloads at once, the file is read for the first, and once more for the others', async t => {
  let reads = 0
  const held = new WorkerSettings(settings, async () => ({ reads: ++reads }))
  const read = await Promise.all(Array.from({ length: 100 }, () => held.readAgain()))
  t.same([reads, read[0], read.at(-1)], [2, { reads: 1 }, { reads: 2 }])
})

t.test('directories that were left stay named until each of them is empty, whatever moves follow', async t => {
  const held = new WorkerSettings(settings, async () => ({}))
  const move = (from: string, to: string) => held.moved({ from, to, passed: [] })
  move('/a', '/b')
  t.match(held.movingTo({ from: '/b', to: '/c', passed: [] }).move, { from: '/b', isClean: false, earlier: ['/a'] })
  t.match(held.current.move, { to: '/b', earlier: [] }, 'a move that fails changes nothing')
  move('/b', '/c')
  move('/c', '/d')
  t.match(held.current.move, { from: '/c', isClean: false, earlier: ['/b', '/a'] })
  held.cleaned('/b')
  held.cleaned('/c')
  t.match(held.current.move, { from: '/c', isClean: true, earlier: ['/a'] })
  move('/d', '/a')
  t.same(held.current.move?.earlier, [], 'one that is in use is not emptied')
})

/** The mode table: whose word counts, for how long, and for how many images. */
import t from 'tap'
import { isCacheMode } from '../../../src/cache/modes/cache-mode.ts'
import { imageModesMax } from '../../../src/cache/modes/limits.ts'
import { type ConfiguredModes, ModeTable } from '../../../src/cache/modes/mode-table.ts'
import type { ModeRecord } from '../../../src/index/format/records.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'

const url = 'memory://here'
const mount = { origin: null, name: null }
const origin = { origin: url, name: null }
const image = { origin: url, name: 'a' }

function configured(mount: ConfiguredModes['mount'], of: ConfiguredModes['mount'] | null = null): ConfiguredModes {
  return { mount, origins: new Map([[url, of]]) }
}

t.test('the most specific word counts, at one place the operator’s; each can be taken back', async t => {
  const index = new IndexDatabase(t.testdir())
  const modes = new ModeTable({ index, configured: configured('promote') })
  const of = (key: string) => modes.of({ origin: url, key })
  t.equal(of('a'), 'promote')
  await modes.say(mount, 'proxy')
  t.equal(of('a'), 'proxy')
  modes.configure(configured('promote', 'forward'))
  t.equal(of('a'), 'forward', 'an origin before the mount')
  await modes.say(origin, 'promote')
  await modes.say(image, 'none')
  t.same([of('a'), of('b'), modes.ofOrigin(url), modes.ofMount], ['none', 'promote', 'promote', 'proxy'])
  t.same(modes.said(image), { mode: 'none', by: 'operator' })
  t.same(modes.namesOf(url), ['a'])
  for (const place of [image, origin, mount]) await modes.say(place, null)
  t.same([of('a'), modes.ofMount], ['forward', 'promote'])
  t.same(modes.said(origin), { mode: 'forward', by: 'configuration' })
  t.equal(modes.said(image), null)
  await index.close()
})

t.test('words outlive a restart, until the configuration says something else than before', async t => {
  const directory = t.testdir()
  const first = new IndexDatabase(directory)
  const before = new ModeTable({ index: first, configured: configured('promote') })
  await before.say(mount, 'proxy')
  await before.say(origin, 'forward')
  await before.say(image, 'none')
  await first.close()
  const index = new IndexDatabase(directory)
  const same = new ModeTable({ index, configured: configured('promote') })
  t.same([same.ofMount, same.ofOrigin(url), same.of({ origin: url, key: 'a' })], ['proxy', 'forward', 'none'])
  same.configure(configured('none', 'promote'))
  t.same([same.ofMount, same.ofOrigin(url)], ['none', 'promote'], 'the later word')
  t.equal(same.of({ origin: url, key: 'a' }), 'none', 'the configuration says nothing of images')
  const other = new ModeTable({ index, configured: configured('none') })
  t.same([other.ofMount, other.ofOrigin(url)], ['none', 'forward'])
  await index.close()
})

t.test('a word that cannot be recorded changes nothing; one of a later version is passed over', async t => {
  let failure: Error | null = new Error('the disk is gone')
  const records: ModeRecord[] = [{ name: '', mode: 'readforward', over: null }]
  const write = async () => {
    if (failure) throw failure
  }
  const index = { modes: (of: string) => (of === url ? records : []), putMode: write, removeMode: write }
  const modes = new ModeTable({ index, configured: configured('promote') })
  t.notOk(isCacheMode('readforward'))
  t.equal(modes.ofOrigin(url), 'promote')
  await t.rejects(modes.say(origin, 'proxy'), failure)
  t.equal(modes.ofOrigin(url), 'promote')
  failure = null
  await modes.say(origin, 'proxy')
  failure = new Error('the disk is gone')
  await t.rejects(modes.say(origin, null), failure)
  t.equal(modes.ofOrigin(url), 'proxy')
})

t.test(
  'one image more than may have a mode of its own is refused, and there is room after one is taken back',
  async t => {
    const records = Array.from({ length: imageModesMax - 1 }, (_, k) => ({ name: `${k}`, mode: 'proxy', over: null }))
    const none = async () => {}
    const index = { modes: (of: string) => (of === url ? records : []), putMode: none, removeMode: none }
    const modes = new ModeTable({ index, configured: configured('promote') })
    await modes.say({ origin: url, name: 'last' }, 'none')
    const over = { origin: url, name: 'over' }
    await t.rejects(modes.say(over, 'none'), { code: 'invalid-argument', message: /4096 images have a mode/ })
    t.equal(modes.of({ origin: url, key: 'over' }), 'promote')
    await modes.say({ origin: url, name: 'last' }, 'proxy')
    await modes.say({ origin: url, name: '0' }, null)
    await modes.say(over, 'none')
    t.equal(modes.of({ origin: url, key: 'over' }), 'none')
  },
)

/** Directory trees of keys with slashes. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { Logger } from '../../../src/base/logger.ts'
import { DirectoryTrees, directoryTreeOf } from '../../../src/cache/names/directory-tree.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'

const { signal } = new AbortController()
const origin = { url: 's3://bucket/' } as Origin
const file = (name: string) => ({ name, isDirectory: false })
const directory = (name: string) => ({ name, isDirectory: true })

t.test('each directory has the names that lie in it, once, in the order of the keys', async t => {
  const { tree, hidden } = await directoryTreeOf(['z', 'a/b/c', 'a/d', 'a/b/e', 'f/g/h/i'])
  t.same(hidden, [])
  t.same(
    [...tree],
    [
      ['', [file('z'), directory('a'), directory('f')]],
      ['a/b/', [file('c'), file('e')]],
      ['a/', [directory('b'), file('d')]],
      ['f/g/h/', [file('i')]],
      ['f/g/', [directory('h')]],
      ['f/', [directory('g')]],
    ],
  )
})

t.test('an image that has the name of a directory is hidden, aloud', async t => {
  const { tree, hidden } = await directoryTreeOf(['a', 'a/b', 'c/a', 'c/a/b/d', 'c/a/b'])
  t.same(hidden.sort(), ['a', 'c/a', 'c/a/b'])
  t.same(tree.get(''), [directory('a'), directory('c')])
  t.same(tree.get('c/'), [directory('a')])
  const said: object[] = []
  const logger = { warn: (facts: object) => void said.push(facts) } as Partial<Logger> as Logger
  const catalog = { list: async () => ['a', 'a/b'], recordedList: async () => null }
  await new DirectoryTrees({ catalog, logger }).list(origin, '', { signal })
  t.same(said, [{ origin: origin.url, images: 1, first: 'a' }])
})

t.test('directories are known from the listing, that of an earlier process included', async t => {
  let keys: readonly string[] = ['a/b']
  let fails: CacheError | null = null
  const catalog = {
    list: async () => {
      if (fails) throw fails
      return keys
    },
    recordedList: async () => keys,
  }
  const trees = new DirectoryTrees({ catalog, logger: { warn: () => {} } as Partial<Logger> as Logger })
  t.notOk(trees.knows(origin, 'a/'))
  t.same([...trees.known(origin)], [])
  await trees.load(origin, signal)
  t.ok(trees.knows(origin, 'a/'))
  t.same([...trees.known(origin)], ['a/'])
  keys = ['c/d/e']
  t.ok(await trees.has(origin, 'c/d/', { signal }))
  t.notOk(trees.knows(origin, 'a/'), 'gone with the listing')
  t.same(await trees.list(origin, 'a/', { signal }), [])
  fails = new CacheError('access-denied', 'no listing for you')
  t.notOk(await trees.has(origin, 'x/', { signal }), 'images are found without')
  fails = new CacheError('origin-unreachable', 'away')
  await t.rejects(trees.has(origin, 'x/', { signal }), { code: 'origin-unreachable' })
})

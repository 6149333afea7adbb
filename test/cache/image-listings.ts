/** Listings of images by directory: flat origins and those with directories, made while they are read. */
import t from 'tap'
import { ImageListings } from '../../src/cache/image-listings.ts'
import type { Catalog } from '../../src/cache/names/catalog.ts'
import { DirectoryTrees } from '../../src/cache/names/directory-tree.ts'
import type { Origin } from '../../src/origin/contract/origin.ts'
import { keepingLogger } from '../fixtures/keeping-logger.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'

const { signal } = new AbortController()

/** @param known names whose images are known without asking */
function setUp(names: readonly string[], known: readonly string[], isHierarchical = false) {
  const shown: string[] = []
  const catalog = {
    list: async () => names,
    recordedList: async () => names,
    imageShown: (_origin: Origin, name: string) => {
      shown.push(name)
      return known.includes(name) ? `image ${name}` : null
    },
  } as unknown as Catalog
  const trees = new DirectoryTrees({ catalog, logger: keepingLogger() })
  const origin = Object.assign(new MemoryOrigin(), { isHierarchical })
  const listings = new ImageListings({ catalog, trees })
  const list = (prefix: string) => listings.list(origin, prefix, { signal })
  return { shown, list }
}

const entriesOf = ({ length, at }: { length: number; at(index: number): unknown }) =>
  Array.from({ length }, (_, k) => at(k))

t.test('a flat listing has each name with its image, looked up when it is read', async t => {
  const { shown, list } = setUp(['a', 'b'], ['a'])
  const listing = await list('')
  t.same(shown, [], 'nothing before an entry is read')
  t.same(entriesOf(listing), [
    { name: 'a', image: 'image a' },
    { name: 'b', image: null },
  ])
  t.same(shown, ['a', 'b'])
  t.equal(listing.at(2), undefined)
  t.same(listing.names, ['a', 'b'])
})

t.test('two listings of the same names share them', async t => {
  const { list } = setUp(['a', 'b'], [])
  const [one, two] = [await list(''), await list('')]
  t.equal(one.names, two.names)
})

t.test('a directory has its own entries: images by their whole keys, and directories without an image', async t => {
  const { shown, list } = setUp(['a', 'x/b', 'x/y/c', 'x/y/d'], ['a', 'x/b', 'x/y/c'], true)
  const root = await list('')
  t.same(entriesOf(root), [
    { name: 'a', isDirectory: false, image: 'image a' },
    { name: 'x', isDirectory: true, image: null },
  ])
  t.same(entriesOf(await list('x/')), [
    { name: 'b', isDirectory: false, image: 'image x/b' },
    { name: 'y', isDirectory: true, image: null },
  ])
  t.same(entriesOf(await list('x/y/')), [
    { name: 'c', isDirectory: false, image: 'image x/y/c' },
    { name: 'd', isDirectory: false, image: null },
  ])
  t.same(shown, ['a', 'x/b', 'x/y/c', 'x/y/d'])
  t.equal(root.at(2), undefined)
  const gone = await list('z/')
  t.same([gone.length, gone.at(0)], [0, undefined], 'none where it is gone')
})

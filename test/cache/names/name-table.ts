/** The table of names, by origin. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { NameTable } from '../../../src/cache/names/name-table.ts'

const [one, two] = [{ url: 'memory://one' }, { url: 'memory://two' }]

function named(origin: string, key: string, validator = '1') {
  const image = identify({ origin, key, sizeBytes: 1, validator, modifiedMs: 0 })
  return { entry: { image, nodeId: 1n }, checkedMs: 7, heardMs: null, toldBy: null }
}

t.test('a name of one origin is not that of another', async t => {
  const names = new NameTable()
  const a = named(one.url, 'a')
  names.set(one, 'a', a)
  t.equal(names.get(one, 'a'), a)
  t.equal(names.get(two, 'a'), null)
  names.delete(two, 'a')
  t.equal(names.of(one).size, 1)
  names.delete(one, 'a')
  t.equal(names.get(one, 'a'), null)
  t.equal(names.of(one).size, 0)
})

t.test('the names of an origin are in order', async t => {
  const names = new NameTable()
  for (const name of ['b', 'c', 'a']) names.set(one, name, named(one.url, name))
  names.set(two, 'd', named(two.url, 'd'))
  t.same(
    names.sorted(one).map(({ name }) => name),
    ['a', 'b', 'c'],
  )
  t.same(names.sorted({ url: 'memory://three' }), [])
})

t.test('when an image is doubted, all its names are to be asked for, and no others', async t => {
  const names = new NameTable()
  const shared = named(one.url, 'a')
  names.set(one, 'a', { ...shared })
  names.set(one, 'alias', { ...shared })
  names.set(one, 'b', named(one.url, 'b'))
  names.doubt(shared.entry)
  t.same(
    ['a', 'alias', 'b'].map(name => names.get(one, name)?.checkedMs),
    [-Infinity, -Infinity, 7],
  )
})

/** Names of operators: origins by directory or URL, images by the directory that shows them. */
import t from 'tap'
import { NamedImages, type NamedImagesContext } from '../../../src/cache/operations/named-images.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const [near, far] = [new MemoryOrigin('file:///srv/near'), new MemoryOrigin('http://far/images/')]
const catalog = {} as NamedImagesContext['catalog']
const both = [
  { directory: 'near', origin: near },
  { directory: 'far', origin: far },
]

t.test('an origin is named by its directory or its URL, with a slash at the end or without', async t => {
  const names = new NamedImages({ origins: both, catalog })
  for (const name of ['near', 'near/', 'file:///srv/near', 'file:///srv/near/'])
    t.equal(names.origin(name).origin, near)
  for (const name of ['far', 'http://far/images', 'http://far/images/']) t.equal(names.origin(name).origin, far)
  const message = /there is no origin "nowhere": there is near, far/
  t.throws(() => names.origin('nowhere'), { code: 'not-found', message })
  t.throws(() => names.origin('near//'), { code: 'not-found' })
})

t.test('one origin at the root is named by its URL alone', async t => {
  const names = new NamedImages({ origins: [{ directory: null, origin: near }], catalog })
  t.equal(names.origin('file:///srv/near/').origin, near)
  t.throws(() => names.origin(''), { code: 'not-found', message: /there is file:\/\/\/srv\/near$/ })
  t.same(names.place('a/b.raw'), { origin: near, own: 'a/b.raw' })
})

t.test('an image lies in the directory of its origin', async t => {
  const names = new NamedImages({ origins: both, catalog })
  t.same(names.place('far/a/b.raw'), { origin: far, own: 'a/b.raw' })
  for (const name of ['b.raw', 'far', 'nearer/b.raw']) t.throws(() => names.place(name), { code: 'not-found' }, name)
})

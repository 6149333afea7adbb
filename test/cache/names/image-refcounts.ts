/** Images in use, counted. */
import t from 'tap'
import { ImageRefcounts } from '../../../src/cache/names/image-refcounts.ts'

t.test('an image is in use until each use of it has ended', async t => {
  const refs = new ImageRefcounts()
  refs.begin('a')
  refs.begin('a')
  refs.begin('b')
  t.equal(refs.size, 2)
  refs.end('a')
  t.ok(refs.has('a'))
  refs.end('a')
  t.notOk(refs.has('a'))
  refs.end('a')
  refs.begin('a')
  t.ok(refs.has('a'), 'an end without a begin is none')
  t.equal(refs.size, 2)
})

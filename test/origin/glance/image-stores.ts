/** Places of images, as an image service says them. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { ImageStores, withoutKeys } from '../../../src/origin/glance/image-stores.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const { signal } = new AbortController()
const bytes = Buffer.from('contents')

t.test('a location has no credentials left', async t => {
  const locations = {
    's3://key:se/cr@et@host:8080/bucket/id': 's3://host:8080/bucket/id',
    'S3+HTTPS://key:secret@host/bucket/id': 's3+https://host/bucket/id',
    'swift+https://project%3Auser:k/ey@host/v1/container/id': 'swift+https://host/v1/container/id',
    'swift+config://ref1/container/id': 'swift+config://ref1/container/id',
    'https://user:secret@host/a@b': 'https://host/a@b',
    'rbd://fsid/pool/id/snap': 'rbd://fsid/pool/id/snap',
    'file:///images/id': 'file:///images/id',
    nothing: '',
  }
  for (const [location, expected] of Object.entries(locations)) t.equal(withoutKeys(location), expected, location)
})

t.test('the first location that a store has is read, under the name that it has there', async t => {
  const [rbd, files] = [new MemoryOrigin(), new MemoryOrigin()]
  rbd.putText('image one@snap', 'contents')
  files.putText('a b', 'contents')
  const stores = new ImageStores(
    [
      { location: 'rbd://fsid/pool/', origin: rbd },
      { location: 'file:///images/', origin: files },
    ],
    silentLogger,
  )
  const find = (id: string, ...locations: string[]) => stores.find({ id, sizeBytes: bytes.length, locations }, signal)
  const found = await find('1', 'http://elsewhere/1', 'rbd://fsid/pool/image%20one/snap', 'file:///images/a%20b')
  t.equal(found?.origin, rbd)
  t.equal(found?.image.key, 'image one@snap')
  t.equal(stores.known('1'), found)
  t.equal((await find('2', 'rbd://fsid/pool/gone/snap', 'file:///images/a%20b'))?.origin, files, 'the next that has it')
  stores.forget('1')
  t.equal(stores.known('1'), null)
  for (const location of ['rbd://fsid/pool/a', 'rbd://fsid/pool/a/b/c', 'file:///images/', 'rbd://other/pool/a/b']) {
    t.equal(await find('3', location), null, location)
  }
  t.equal(await stores.find({ id: '4', sizeBytes: 1, locations: ['file:///images/a%20b'] }, signal), null, 'its size')
})

t.test('a store that cannot answer is an error, unless another one has the image', async t => {
  const [away, here] = [new MemoryOrigin(), new MemoryOrigin()]
  away.lookup = () => Promise.reject(new CacheError('origin-unreachable', 'away'))
  here.putText('x', 'contents')
  const stores = new ImageStores(
    [
      { location: 's3://away/', origin: away },
      { location: 's3://here/', origin: here },
    ],
    silentLogger,
  )
  const find = (...locations: string[]) => stores.find({ id: '1', sizeBytes: bytes.length, locations }, signal)
  await t.rejects(find('s3://away/x'), { code: 'origin-unreachable' })
  t.equal((await find('s3://away/x', 's3://here/x'))?.origin, here)
})

/** Records of images, as a service says them, or something else. */
import t from 'tap'
import { idOfValidator, isImageId, pageOf, recordOf } from '../../../src/origin/glance/image-record.ts'
import { propertiesMax, propertyTextCharsMax } from '../../../src/origin/glance/limits.ts'

const id = '744822ef-1921-4fcf-9edf-aba4fbe901e8'
const hex = 'ab'.repeat(64)
const image = {
  id,
  name: 'a',
  status: 'active',
  size: 10,
  created_at: '2026-01-02T03:04:05Z',
  os_hash_algo: 'sha512',
  os_hash_value: hex,
  checksum: 'cd'.repeat(16),
}

t.test('the id and the strongest digest name the version', async t => {
  const record = recordOf(JSON.stringify(image), 'here')
  const digest = { algorithm: 'sha-512', hex }
  const validator = `${id} sha-512:${hex}`
  const createdMs = Date.UTC(2026, 0, 2, 3, 4, 5)
  t.same(record, { id, name: 'a', sizeBytes: 10, createdMs, digest, validator, locations: [], properties: {} })
  t.equal(idOfValidator(validator), id)
  const older = recordOf(JSON.stringify({ ...image, os_hash_algo: 'md5', os_hash_value: 'x' }), 'here')
  t.match(older, { digest: null, validator: `${id} md5:${image.checksum}` })
})

t.test('an image without data is none, and a listing leaves out what is no image', async t => {
  const without = [{ status: 'queued' }, { status: 'deleted' }, { size: null }, { size: -1 }, { size: 1e300 }]
  for (const change of without) t.equal(recordOf(JSON.stringify({ ...image, ...change }), 'here'), null)
  const images = [null, 7, {}, { ...image, id: '../../secret' }, image]
  const page = pageOf(JSON.stringify({ images, next: '/v2/images?marker=x' }), 'here')
  t.same(
    page.images.map(each => each.id),
    [id],
  )
  t.equal(page.next, '/v2/images?marker=x')
  t.notOk(isImageId(id.toUpperCase()), 'as the service writes them')
})

t.test('anything else is no answer of an image service', async t => {
  for (const text of ['', '7', 'null', '[]', '{"images":7}', '<html>', '{}']) {
    t.throws(() => pageOf(text, 'here'), { code: 'origin-protocol' }, text)
    t.throws(() => recordOf(text, 'here'), { code: 'origin-protocol' }, text)
  }
})

t.test('its words are shown, but those that say where it lies', async t => {
  const said = {
    visibility: 'public',
    tags: ['a', 'b'],
    min_disk: 3,
    protected: false,
    direct_url: 's3://key:secret@host/bucket/x',
    locations: [{ url: 'rbd://f/p/i/s' }, { url: 's3://key:secret@host/bucket/x' }, { url: 7 }, null],
    'with space': 'left out',
    nested: { left: 'out' },
    long: 'x'.repeat(10_000),
  }
  const record = recordOf(JSON.stringify({ ...image, ...said }), 'here')!
  t.same(record.locations, ['s3://key:secret@host/bucket/x', 'rbd://f/p/i/s'])
  const { long, ...others } = record.properties
  t.same(others, { visibility: 'public', tags: 'a,b', min_disk: '3', protected: 'false' })
  t.equal(long!.length, propertyTextCharsMax)
  const many = Object.fromEntries(Array.from({ length: propertiesMax + 1 }, (_, k) => [`p${k}`, '']))
  t.equal(Object.keys(recordOf(JSON.stringify({ ...image, ...many }), 'here')!.properties).length, propertiesMax)
})

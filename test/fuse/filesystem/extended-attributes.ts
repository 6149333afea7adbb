/** `user.parentfs.*`. */
import t from 'tap'
import { extendedAttribute, extendedAttributeNames } from '../../../src/fuse/filesystem/extended-attributes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const { image } = new FakeBackend().add({ name: 'a', sizeBytes: 10, validator: '"é"' })

t.test('each attribute is text', async t => {
  const residence = () => ({ residentBytes: 10, complete: true, mode: 'proxy' })
  const texts = extendedAttributeNames.map(name => [
    name,
    Buffer.from(extendedAttribute(name, image, residence)).toString(),
  ])
  t.same(Object.fromEntries(texts), {
    'user.parentfs.origin': 'fake://',
    'user.parentfs.validator': '"é"',
    'user.parentfs.resident_bytes': '10',
    'user.parentfs.complete': 'true',
    'user.parentfs.mode': 'proxy',
  })
})

t.test('other names are not there, whatever an object inherits', async t => {
  for (const name of ['user.other', 'security.selinux', 'constructor', '__proto__', '']) {
    t.throws(() => extendedAttribute(name, image, never), { code: 'no-such-attribute' }, name)
  }
})

function never(): never {
  throw new Error('residence was asked for')
}

/** `user.parentfs.*`. */
import t from 'tap'
import { extendedAttribute, extendedAttributeNames } from '../../../src/fuse/filesystem/extended-attributes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const { image } = new FakeBackend().add({ name: 'a', sizeBytes: 10, validator: '"é"' })
const properties = { visibility: 'public', os_distro: 'débian' }

t.test('each attribute is text', async t => {
  const residence = () => ({ residentBytes: 10, complete: true, mode: 'proxy' })
  const texts = extendedAttributeNames(properties).map(name => [
    name,
    Buffer.from(extendedAttribute(name, image, residence, () => properties)).toString(),
  ])
  t.same(Object.fromEntries(texts), {
    'user.parentfs.origin': 'fake://',
    'user.parentfs.validator': '"é"',
    'user.parentfs.resident_bytes': '10',
    'user.parentfs.complete': 'true',
    'user.parentfs.mode': 'proxy',
    'user.parentfs.property.visibility': 'public',
    'user.parentfs.property.os_distro': 'débian',
  })
})

t.test('without words of its origin an image has the other attributes', async t => {
  t.equal(extendedAttributeNames(null).length, 5)
  const name = 'user.parentfs.property.visibility'
  t.throws(() => extendedAttribute(name, image, never, () => null), { code: 'no-such-attribute' })
})

t.test('names of properties stay within the list that a system call takes', async t => {
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, k) => [`p${'x'.repeat(100)}${k}`, '']))
  const names = extendedAttributeNames(many)
  const bytes = names.reduce((sum, name) => sum + name.length + 1, 0)
  t.ok(names.length > 100 && bytes < 65_536, `${bytes} bytes`)
})

t.test('other names are not there, whatever an object inherits', async t => {
  const inherited = [
    'user.parentfs.property.constructor',
    'user.parentfs.property.__proto__',
    'user.parentfs.property.',
  ]
  for (const name of ['user.other', 'security.selinux', 'constructor', '__proto__', '', ...inherited]) {
    t.throws(() => extendedAttribute(name, image, never, () => properties), { code: 'no-such-attribute' }, name)
  }
})

function never(): never {
  throw new Error('residence was asked for')
}

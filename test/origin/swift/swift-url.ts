/** URLs of Swift origins: one way to write each. */
import t from 'tap'
import { objectUrlOf, swiftPlaceOf, swiftUrlOf, swiftUrlWith } from '../../../src/origin/swift/swift-url.ts'

const nowhere = { auth: null, cloud: null, project: null, region: null, storage: null }

t.test('a container, a prefix, and the account', async t => {
  t.same(swiftPlaceOf('swift://images'), { container: 'images', prefix: '', ...nowhere })
  t.same(swiftPlaceOf('swift://images/golden'), { container: 'images', prefix: 'golden/', ...nowhere })
  t.same(swiftPlaceOf('SWIFT://Images/a%20b/%C3%BC/'), { container: 'Images', prefix: 'a b/ü/', ...nowhere })
  const url = 'swift://c/?auth=http%3A%2F%2Fk%3A5000%2Fv3&project=p%26q&region=R'
  t.match(swiftPlaceOf(url), { auth: 'http://k:5000/v3', project: 'p&q', region: 'R' })
  t.not(swiftUrlWith('swift://c/', { cloud: 'a' }), swiftUrlWith('swift://c/', { cloud: 'b' }))
  t.equal(swiftUrlOf(swiftPlaceOf(url)), url)
  t.equal(
    swiftUrlOf(swiftPlaceOf('swift://c?region=R&auth=http://k/v3')),
    'swift://c/?auth=http%3A%2F%2Fk%2Fv3&region=R',
  )
})

t.test('the settings of the account are part of it', async t => {
  const settings = { authUrl: 'http://k/v3', project: 'p', storageUrl: null }
  t.equal(swiftUrlWith('swift://c/', settings), 'swift://c/?auth=http%3A%2F%2Fk%2Fv3&project=p')
  t.equal(swiftUrlWith('swift://c/?project=p', settings), swiftUrlWith('swift://c/', settings))
  t.throws(() => swiftUrlWith('swift://c/?project=other', settings), { code: 'invalid-argument' })
})

t.test('others are refused, and no secret is repeated', async t => {
  for (const url of [
    'swift://',
    'swift:///prefix',
    'swift://a%2Fb/',
    `swift://${'x'.repeat(257)}/`,
    'swift://c/%',
    'swift://c/#x',
    'swift://c/?key=secret',
    'swift://c/?auth=http://k/v3&auth=http://l/v3',
    'swift://c/?auth=ftp://k/',
    'swift://c/?auth=http://me:secret@k/v3',
    'swift://c/?storage=secret',
  ]) {
    t.throws(() => swiftPlaceOf(url), { code: 'invalid-argument', message: /^(?!.*secret)/ }, url)
  }
})

t.test('the URL of an object has any name that a URL can have', async t => {
  const hrefOf = (name: string) => objectUrlOf('http://s/v1/A', 'c d', name)?.href ?? null
  t.equal(hrefOf('a/b?c#d%e'), 'http://s/v1/A/c%20d/a/b%3Fc%23d%25e')
  t.equal(hrefOf('a//b'), 'http://s/v1/A/c%20d/a//b')
  for (const none of ['.', '..', 'a/../b', 'a/.', '\ud800']) t.equal(hrefOf(none), null, JSON.stringify(none))
})

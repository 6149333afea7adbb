/** Challenges of registries, one or several in a header. */
import t from 'tap'
import { challengeOf } from '../../../src/origin/oci/challenge.ts'

t.test('a challenge is read whatever its spaces, quotes and order are', async t => {
  const bearer = { kind: 'bearer', realm: 'https://auth.example/token', service: 'a, b', scope: 'repository:x:pull' }
  for (const text of [
    'Bearer realm="https://auth.example/token",service="a, b",scope="repository:x:pull"',
    'bearer scope="repository:x:pull" , realm = "https://auth.example/token", service="a, b"',
    'Basic realm="x", Bearer realm="https://auth.example/token",service="a\\, b",scope=repository:x:pull',
    'Negotiate, Bearer service="a, b",realm="https://auth.example/token",scope="repository:x:pull",error="expired"',
  ]) {
    t.same(challengeOf({ 'www-authenticate': text }), bearer, text)
  }
  t.match(challengeOf({ 'www-authenticate': 'Bearer realm="r"' }), { realm: 'r', service: null, scope: null })
  t.same(challengeOf({ 'www-authenticate': ['Basic realm="x"', 'Digest realm="y"'] }), { kind: 'basic' })
  for (const text of ['', 'Bearer', 'Bearer service="x"', 'Digest realm="x"', '"', ',,,']) {
    t.equal(challengeOf({ 'www-authenticate': text }), null, text)
  }
  t.equal(challengeOf({}), null)
})

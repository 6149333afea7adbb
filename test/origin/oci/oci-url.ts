/** URLs of repositories: their parts, the one way to write each, and the places behind them. */
import t from 'tap'
import { homeOf, isContentDigest, isTag, loginNamesOf, ociPlaceOf, ociUrlOf } from '../../../src/origin/oci/oci-url.ts'

const sha256 = `sha256:${'0a'.repeat(32)}`
const sha512 = `sha512:${'0a'.repeat(64)}`

t.test('a URL is written in one way', async t => {
  for (const [url, written] of [
    ['oci://Registry.Example/images/debian', 'oci://registry.example/images/debian'],
    ['OCI://registry.example:443/images/debian/', 'oci://registry.example/images/debian'],
    ['oci://registry.example:5000/debian:12', 'oci://registry.example:5000/debian:12'],
    [`oci://r.example/a/b/c@${sha256}`, `oci://r.example/a/b/c@${sha256}`],
    [`oci://r.example/a:12@${sha512}`, `oci://r.example/a@${sha512}`],
    ['oci://[::1]:5000/a:Tag_1.x-y', 'oci://[::1]:5000/a:Tag_1.x-y'],
    ['oci://docker.io/debian', 'oci://docker.io/library/debian'],
    ['oci://index.docker.io/library/debian:12', 'oci://docker.io/library/debian:12'],
    ['oci://registry-1.docker.io/me/debian', 'oci://docker.io/me/debian'],
  ] as const) {
    t.equal(ociUrlOf(ociPlaceOf(url)), written, url)
    t.equal(ociUrlOf(ociPlaceOf(written)), written)
  }
})

t.test('what is no repository is an invalid argument, without its credentials', async t => {
  for (const url of [
    'oci://registry.example',
    'oci://registry.example/',
    'oci:///debian',
    'oci://registry.example/Debian',
    'oci://registry.example/a//b',
    'oci://registry.example/../b',
    'oci://registry.example/a:',
    'oci://registry.example/a:-tag',
    `oci://registry.example/a:${'x'.repeat(129)}`,
    'oci://registry.example/a@sha256:0',
    'oci://registry.example/a@md5:0cc175b9c0f1b6a831c399e269772661',
    'oci://registry.example/a?x=y',
    `oci://registry.example/${'x'.repeat(256)}`,
    'oci://registry.example:port/a',
    'https://registry.example/a',
  ]) {
    t.throws(() => ociPlaceOf(url), { code: 'invalid-argument' }, url)
  }
  t.throws(() => ociPlaceOf('oci://user:hunter2@registry.example/a'), { message: /^(?!.*hunter2)/ })
})

t.test('the registry is reached by TLS, but on this machine, or where another thing is asked for', async t => {
  const at = (url: string, isInsecure: boolean | null = null) => homeOf(ociPlaceOf(url), isInsecure).href
  t.equal(at('oci://docker.io/debian'), 'https://registry-1.docker.io/')
  t.equal(at('oci://registry.example:5000/a'), 'https://registry.example:5000/')
  t.equal(at('oci://registry.example:5000/a', true), 'http://registry.example:5000/')
  t.equal(at('oci://127.0.0.1:5000/a'), 'http://127.0.0.1:5000/')
  t.equal(at('oci://localhost/a'), 'http://localhost/')
  t.equal(at('oci://[::1]:5000/a'), 'http://[::1]:5000/')
  t.equal(at('oci://127.0.0.1:5000/a', false), 'https://127.0.0.1:5000/')
  t.equal(at('oci://127.example/a'), 'https://127.example/')
})

t.test('a login is looked for under every name, the most particular first', async t => {
  const names = loginNamesOf(ociPlaceOf('oci://r.example:5000/a/b:12'))
  t.same(names.slice(0, 3), ['r.example:5000/a/b', 'r.example:5000/a', 'r.example:5000'])
  t.ok(names.includes('https://r.example:5000'))
  const hub = loginNamesOf(ociPlaceOf('oci://docker.io/debian'))
  t.same(hub.slice(0, 3), ['docker.io/library/debian', 'docker.io/library', 'https://index.docker.io/v1/'])
  t.ok(hub.includes('docker.io'))
})

t.test('tags and digests are told apart', async t => {
  t.same(['12', '_x', 'a.b-c', '.x', 'a/b', ''].map(isTag), [true, true, true, false, false, false])
  t.same([sha256, sha512, 'sha256:0', sha256.toUpperCase()].map(isContentDigest), [true, true, false, false])
})

import { createHash } from 'node:crypto'
import t from 'tap'
import { digestBeside, digestInText } from '../../../src/origin/contract/digest.ts'
import { digestOfHeaders } from '../../../src/origin/http/http-digest.ts'

const sums = (text: string) => ({
  sha256: createHash('sha256').update(text).digest(),
  sha512: createHash('sha512').update(text).digest(),
})
const { sha256, sha512 } = sums('image')
const [hex256, hex512] = [sha256.toString('hex'), sha512.toString('hex')]

t.test('headers give the strongest digest they have, in either form', async t => {
  const [b256, b512] = [sha256.toString('base64'), sha512.toString('base64')]
  const strong = { algorithm: 'sha-512', hex: hex512 }
  const weak = { algorithm: 'sha-256', hex: hex256 }
  t.same(digestOfHeaders({ 'repr-digest': `sha-256=:${b256}:, sha-512=:${b512}:` }), strong)
  t.same(digestOfHeaders({ 'repr-digest': `md5=:AAAA:, sha-256=:${b256}:` }), weak)
  t.same(digestOfHeaders({ digest: `SHA-256=${b256},MD5=AAAA==` }), weak)
  t.same(digestOfHeaders({ digest: `sha-512=${b512}`, 'repr-digest': `sha-256=:${b256}:` }), strong)
  for (const headers of [
    {},
    { 'repr-digest': 'sha-256=:AAAA:' },
    { digest: 'garbage' },
    { 'content-digest': `sha-256=:${b256}:` },
    { 'repr-digest': [`sha-256=:${b256}:`, `sha-256=:${b256}:`] },
  ]) {
    t.equal(digestOfHeaders(headers), null, JSON.stringify(headers))
  }
})

t.test('files of sums are read as sha256sum writes them', async t => {
  const find = (text: string, alone = false) => digestInText(text, 'a b.img', 'sha-256', alone)
  t.equal(find(`${hex256}  a b.img\n`), hex256)
  t.equal(find(`${'0'.repeat(64)} *c.img\r\n${hex256.toUpperCase()} *./a b.img\r\n`), hex256)
  t.equal(find(`SHA256 (a b.img) = ${hex256}`), hex256)
  t.equal(find(`${hex256}\n`, true), hex256)
  for (const text of ['', hex256, `${hex256}  b.img`, `${hex512}  a b.img`, `SHA512 (a b.img) = ${hex256}`]) {
    t.equal(find(text), null, text)
  }
  t.equal(find(`${hex256}  a b.img\n${'0'.repeat(64)}  a b.img\n`), null, 'which of them?')
})

t.test('files beside an image are looked into, the strongest and its own first', async t => {
  const asked: string[] = []
  const beside = (files: Record<string, string>) =>
    digestBeside('a', async file => {
      asked.push(file)
      return files[file] ?? null
    })
  t.equal(await beside({}), null)
  t.same(asked, ['a.sha512', 'SHA512SUMS', 'a.sha256', 'SHA256SUMS'])
  t.same(await beside({ 'a.sha256': hex256, SHA512SUMS: `${hex512}  a` }), { algorithm: 'sha-512', hex: hex512 })
  t.same(await beside({ SHA256SUMS: `${hex256}  a` }), { algorithm: 'sha-256', hex: hex256 })
  t.equal(await beside({ SHA256SUMS: hex256 }), null, 'of which image?')
})

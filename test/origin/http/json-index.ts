/**
 * JSON listings, as servers write them, in pieces as networks bring them.
 */
import t from 'tap'
import { JsonIndex } from '../../../src/origin/http/json-index.ts'
import { listingEntryBytesMax } from '../../../src/origin/http/limits.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

/** Whatever the pieces are, the listing is the same: whole, byte by byte, and as chance has it. */
function parse(text: string | Buffer, namesMax = 1000) {
  const bytes = Buffer.from(text)
  const random = seeded(seed + bytes.length)
  const [whole, ...others] = [() => bytes.length, () => 1, () => between(random, 1, 40)].map(size => {
    const index = new JsonIndex(namesMax)
    for (let at = 0; at < bytes.length; ) index.add(bytes.subarray(at, (at += size())))
    return index.end()
  })
  for (const other of others) t.same(other, whole)
  return whole!
}

t.test('a JSON listing has names, or objects with names', async t => {
  t.same(parse('[]'), [])
  t.same(parse('["a", {"name": "b"}, {"name": "c", "size": 3}]'), ['a', 'b', 'c'])
})

t.test('a JSON listing of nginx gives its files and not its directories', async t => {
  const text = `[
{ "name":"old", "type":"directory", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT" },
{ "name":"a.img", "type":"file", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT", "size":1099511627776 },
{ "name":"pipe", "type":"other", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT" }
]`
  t.same(parse(text), ['a.img'])
})

t.test('names that cannot be files and repetitions are left out of JSON', async t => {
  const text = JSON.stringify([
    '../a',
    '.',
    '',
    'a/b',
    'a\0',
    { name: 'c', size: -1 },
    { name: 'd', size: '7' },
    'd',
    'd',
  ])
  t.same(parse(text), ['c', 'd'])
})

t.test('JSON that is no listing throws', async t => {
  for (const text of ['{}', '7', '[7]', '[null]', '[{}]', '[{"name": 7}]', '[', '["a"', '[["a"]]']) {
    t.throws(() => parse(text), text)
  }
})

t.test('brackets, commas, quotes and backslashes in names divide nothing', async t => {
  const names = ['a,b', '],[', '{"', '\\', '\\"', '\\\\",', 'ü,\u{1f600}', '","']
  t.same(parse(JSON.stringify(names)), names)
  t.same(parse(JSON.stringify(names.map(name => ({ x: [name, [{ name }]], name })))).length, names.length)
  t.same(parse('[ "a" ,\n"b"\t]\r\n ').length, 2)
})

t.test('what JSON.parse refuses is refused, wherever it is cut', async t => {
  const texts = [
    '[,]',
    '[,"a"]',
    '["a",]',
    '["a",,"b"]',
    '["a" "b"]',
    '["a"}',
    '[{"name":"a"]',
    '["a"]]',
    '["a"]x',
    '["a"],',
  ]
  for (const text of [...texts, '["\\x"]', "['a']", '["a"', '["a",', '[{"name":"a"', '["a\\"]'])
    t.throws(() => parse(text), text)
})

t.test('the first names are kept, and one entry has a bound', async t => {
  const texts = Array.from({ length: 11 }, (_, k) => ({ name: `n${k}`, size: k }))
  for (const names of [9, 10, 11]) t.equal(parse(JSON.stringify(texts.slice(0, names)), 10).length, Math.min(names, 10))
  const entry = (bytes: number) => {
    const index = new JsonIndex()
    index.add(Buffer.from(`["${'x'.repeat(bytes - 2)}`)) // The bracket counts, too.
    index.add(Buffer.from('"]'))
    return index.end()
  }
  t.same(entry(listingEntryBytesMax), [])
  t.throws(() => entry(listingEntryBytesMax + 1))
})

t.test('whatever chance makes of a listing, it says what JSON.parse says', async t => {
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const seen = { same: 0, refused: 0 }
  for (let k = 0; k < 5000; k++) {
    const text = Buffer.from('["a", {"name":"b\\"c","size":3,"x":[1,{}]} , "d,]" ]')
    for (let flips = between(random, 0, 3); flips > 0; flips--) {
      text[between(random, 1, text.length)] = '[]{},":\\ a1'.charCodeAt(between(random, 0, 11))
    }
    const expected = expectedOf(text.toString())
    if (expected === null) {
      t.throws(() => parse(text), text.toString())
      seen.refused++
    } else {
      t.same(parse(text), expected, text.toString())
      seen.same++
    }
  }
  t.ok(seen.same > 500 && seen.refused > 500, JSON.stringify(seen))
})

/** The names, by JSON.parse; null where it or we refuse. */
function expectedOf(text: string): string[] | null {
  try {
    const entries = JSON.parse(text) as unknown[]
    const names = entries.map(entry => (typeof entry === 'string' ? entry : (entry as { name: unknown }).name))
    if (!Array.isArray(entries) || !names.every(name => typeof name === 'string')) return null
    return [...new Set(names)].filter(name => name !== '' && !name.includes('\0'))
  } catch {
    return null
  }
}

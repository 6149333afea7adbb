/**
 * Listings, as servers write them.
 */
import t from 'tap'
import { parseHtmlIndex, parseJsonIndex } from '../../src/origin/listing.ts'

const base = new URL('http://host/images/')

t.test('a JSON listing has names, or objects with names and sizes', async t => {
  t.same(parseJsonIndex('[]'), [])
  t.same(parseJsonIndex('["a", {"name": "b"}, {"name": "c", "size": 3}]'), [
    { name: 'a', sizeBytes: null },
    { name: 'b', sizeBytes: null },
    { name: 'c', sizeBytes: 3 },
  ])
})

t.test('a JSON listing of nginx gives its files and not its directories', async t => {
  const text = `[
{ "name":"old", "type":"directory", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT" },
{ "name":"a.img", "type":"file", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT", "size":1099511627776 },
{ "name":"pipe", "type":"other", "mtime":"Wed, 21 Oct 2015 07:28:00 GMT" }
]`
  t.same(parseJsonIndex(text), [{ name: 'a.img', sizeBytes: 1024 ** 4 }])
})

t.test('names that cannot be files, sizes that cannot be sizes and repetitions are left out of JSON', async t => {
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
  t.same(parseJsonIndex(text), [
    { name: 'c', sizeBytes: null },
    { name: 'd', sizeBytes: null },
  ])
})

t.test('JSON that is no listing throws', async t => {
  for (const text of ['{}', '7', '[7]', '[null]', '[{}]', '[{"name": 7}]', '[', '["a"', '[["a"]]']) {
    t.throws(() => parseJsonIndex(text), text)
  }
})

/** The names in an index page with these links. */
function namesOf(links: string, title = '<title>Index of /images/</title>'): string[] | null {
  return (
    parseHtmlIndex(`<html><head>${title}</head><body>${links}</body></html>`, base)?.map(({ name }) => name) ?? null
  )
}

t.test('an index of nginx is read', async t => {
  const links = `<h1>Index of /images/</h1><hr><pre><a href="../">../</a>
<a href="old/">old/</a>                          21-Oct-2015 07:28       -
<a href="a%20b%26c.img">a b&amp;c.img</a>        21-Oct-2015 07:28       4
<a href="%C3%BC%2B%3A%23%3F.img">..</a>          21-Oct-2015 07:28       4
</pre>`
  t.same(namesOf(links), ['a b&c.img', 'ü+:#?.img'])
})

t.test('an index of Apache is read without its links for sorting', async t => {
  const links = `<h1>Index of /images</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/">Parent Directory</a></td></tr>
<tr><td><a href="a&amp;b.img">a&amp;b.img</a></td></tr>
<tr><td><A class='x' HREF='single.img'>s</A></td></tr>
<tr><td><a href="sub/">sub/</a></td></tr></table>`
  t.same(namesOf(links), ['a&b.img', 'single.img'])
})

t.test('links that lead elsewhere are no images', async t => {
  const elsewhere = [
    'http://other/images/a',
    'https://host/images/a',
    '//other/a',
    '/a',
    '/images/sub/a',
    'sub/a',
    '../a',
    '..%2fa',
    '%2e%2e',
    '.',
    'mailto:a@b',
    'javascript:a',
    '%ff',
    '%00',
    '#top',
    'a?b',
    'http://[',
  ]
  t.same(namesOf(elsewhere.map(href => `<a href="${href}">x</a>`).join('\n')), [])
  t.same(namesOf('<a href="/images/a">x</a><a href="http://host/images/b">y</a><a href="./c">z</a>'), ['a', 'b', 'c'])
})

t.test('entities in links are decoded, and what is none stays', async t => {
  t.same(namesOf('<a href="&#97;&#x62;&quot;&apos;&lt;&gt;&unknown;">x</a>'), ['ab"\'<>&unknown;'])
  t.same(namesOf('<a href="x&#x110000;">x</a>'), ['x&'], 'no such character: the rest is a fragment')
})

t.test('a page for people is no index', async t => {
  t.equal(namesOf('<a href="a.img">a</a>', '<title>Welcome</title>'), null)
  t.equal(parseHtmlIndex('', base), null)
  t.equal(parseHtmlIndex('Index of nothing', base), null)
})

t.test('a hostile page is read in time that grows with its length alone', async t => {
  const startMs = performance.now()
  parseHtmlIndex(`<title>Index of /</title>${'<a '.repeat(200_000)}`, base)
  namesOf(`<a href="${'&#'.repeat(200_000)}">`)
  namesOf(`<a ${'href= '.repeat(200_000)}>`)
  namesOf(`<a ${' '.repeat(200_000)}>`)
  namesOf('', '<title'.repeat(200_000))
  namesOf('', `<title${' '.repeat(200_000)}`)
  t.ok(performance.now() - startMs < 2_000, `${performance.now() - startMs} ms`)
})

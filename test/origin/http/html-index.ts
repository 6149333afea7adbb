/**
 * Index pages, as servers write them, in pieces as networks bring them.
 */
import t from 'tap'
import { HtmlIndex } from '../../../src/origin/http/html-index.ts'
import { listingEntryBytesMax } from '../../../src/origin/http/limits.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const base = new URL('http://host/images/')

/** Whatever the pieces are, the names are the same: whole, byte by byte, and as chance has it. */
function parse(page: string, namesMax = 1000): string[] | null {
  const bytes = Buffer.from(page)
  const random = seeded(seed + bytes.length)
  const read = (size: () => number) => {
    const index = new HtmlIndex(base, namesMax)
    for (let at = 0; at < bytes.length; ) index.add(bytes.subarray(at, (at += size())))
    return index.end()
  }
  const whole = read(() => bytes.length)
  t.same(
    read(() => between(random, 1, 40)),
    whole,
  )
  if (bytes.length < 10_000)
    t.same(
      read(() => 1),
      whole,
    )
  return whole
}

/** The names in an index page with these links. */
function namesOf(links: string, title = '<title>Index of /images/</title>'): string[] | null {
  return parse(`<html><head>${title}</head><body>${links}</body></html>`)
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

t.test('an index of webfs is read', async t => {
  const title = '<title>host:80/images/</title></head>\n<body><h1>listing: \n<a href="/">/</a></h1><hr noshade size=1>'
  const links =
    '<pre>\ndrwxr-xr-x  <a href="old/">old/</a>\n-rw-r--r--  root  4  B  <a href="a%20b.img">a b.img</a></pre>'
  t.same(namesOf(links, title), ['a b.img'])
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
  t.equal(parse(''), null)
  t.equal(parse('Index of nothing'), null)
})

t.test('a tag that is longer than an entry may be is left out, and the others are not', async t => {
  const read = (bytes: number) => {
    const index = new HtmlIndex(base)
    const end = 'href="a">'
    const begun = `<a${' '.repeat(bytes - 2 - end.length)}`
    for (const piece of ['<title>Index of /</title>', begun, end, '<a href="b">']) index.add(Buffer.from(piece))
    return index.end()
  }
  t.same(read(listingEntryBytesMax), ['a', 'b'])
  t.same(read(listingEntryBytesMax + 1), ['b'])
})

t.test('a page with more names than are kept gives the first ones', async t => {
  const page = (names: number) =>
    `<title>Index of /</title>${Array.from({ length: names }, (_, k) => `<a href="n${k}">x</a>`).join('')}`
  for (const names of [9, 10, 11]) {
    const listed = parse(page(names), 10)
    t.equal(listed?.length, Math.min(names, 10))
    t.equal(listed?.at(-1), `n${Math.min(names, 10) - 1}`)
  }
})

t.test('a hostile page is read in time that grows with its length alone', async t => {
  const before = process.cpuUsage()
  parse(`<title>Index of /</title>${'<a '.repeat(200_000)}`)
  namesOf(`<a href="${'&#'.repeat(200_000)}">`)
  namesOf(`<a ${'href= '.repeat(200_000)}>`)
  namesOf(`<a ${' '.repeat(200_000)}>`)
  namesOf('', '<title'.repeat(200_000))
  namesOf('', `<title${' '.repeat(200_000)}`)
  const { user } = process.cpuUsage(before)
  t.ok(user < 2_000_000, `${user} us of the processor`)
})

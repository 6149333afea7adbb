/** Names that an origin shows, by patterns. */
import t from 'tap'
import { matcherOf, NameFilterOrigin, type NamePatterns } from '../../../src/origin/wrappers/name-filter.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'

const { signal } = new AbortController()

function filtered(patterns: Partial<NamePatterns>) {
  const inner = new MemoryOrigin()
  for (const name of ['a.qcow2', 'b.raw', '.hidden.raw', 'a.qcow2.profile', 'b.raw.profile', 'x(1)+é.raw'])
    inner.put(name, 10)
  const all = { include: null, exclude: [], besideSuffixes: ['.profile'], ...patterns }
  return { inner, origin: new NameFilterOrigin(inner, all) }
}

t.test('shown is what fits a pattern, and none of those against', async t => {
  const names = async (patterns: Partial<NamePatterns>) => (await filtered(patterns).origin.list({ signal }))?.length
  t.equal(await names({}), 6)
  t.same(await filtered({ include: ['*.qcow2'] }).origin.list({ signal }), ['a.qcow2'])
  t.same(await filtered({ include: ['*.raw'], exclude: ['b*', '.*'] }).origin.list({ signal }), ['x(1)+é.raw'])
  t.equal(await names({ exclude: ['**'] }), 0)
})

t.test('what is not shown is not asked for, and a file beside an image is found with it', async t => {
  const { origin, inner } = filtered({ include: ['*.raw'] })
  t.match(await origin.lookup('b.raw', { signal }), { key: 'b.raw' })
  t.match(await origin.lookup('b.raw.profile', { signal }), { key: 'b.raw.profile' })
  const asked = inner.requests.length
  for (const name of ['a.qcow2', 'a.qcow2.profile', 'c']) {
    await t.rejects(origin.lookup(name, { signal }), { code: 'not-found' }, name)
  }
  t.equal(inner.requests.length, asked)
})

t.test('stars stop at a slash, two of them do not', async t => {
  const fits = (pattern: string, name: string) => matcherOf([pattern])(name)
  t.ok(fits('*.raw', 'a.raw'))
  t.notOk(fits('*.raw', 'd/a.raw'))
  t.ok(fits('**/*.raw', 'd/e/a.raw'))
  t.ok(fits('**/*.raw', 'a.raw'))
  t.ok(fits('d/**', 'd/e/a.raw'))
  t.ok(fits('{a,b}?.raw', 'bx.raw'))
  t.notOk(fits('!a', 'b'), 'no negation')
  t.ok(fits('[ab].raw', 'b.raw'))
  t.throws(() => matcherOf(['[a']))
})

/** All settings there are, and that docs/OPERATIONS.md lists exactly those. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { allSettings, factsAt, keysAt } from '../../../src/daemon/config/settings-list.ts'

t.test('every setting has a line in docs/OPERATIONS.md that says what the code says', async t => {
  const lines = readFileSync('docs/OPERATIONS.md', 'utf8').split('\n')
  const start = lines.indexOf('| key | default | range | live | what it does |')
  const written = lines.slice(start + 2, lines.indexOf('', start))
  const known = allSettings().map(
    ({ key, fallback, range, live, what }) =>
      `| \`${key}\` | ${fallback} | ${range} | ${live ? 'yes' : 'no'} | ${what} |`,
  )
  t.ok(known.length >= 30, `${known.length} settings`)
  t.same(written, known)
})

t.test('settings are found by where they are', async t => {
  t.ok(keysAt([]).includes('cache'))
  t.ok(keysAt(['cache']).includes('capacity'))
  t.ok(keysAt(['origin']).includes('stallTimeout'))
  t.same(keysAt(['cache', 'capacity']), [])
  t.same(keysAt(['nowhere', 'at', 'all']), [])
  t.match(factsAt(['cache', 'capacity']), { kind: 'size', live: true })
  t.equal(factsAt(['cache']), null)
  t.equal(factsAt(['cache', 'nothing']), null)
})

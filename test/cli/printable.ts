/** Names and reasons of others reach no terminal as they are: in tables, in messages, in what a shell completes. */
import t from 'tap'
import type { Status } from '../../src/admin/status.ts'
import type { ImageStatus } from '../../src/cache/cache-status.ts'
import { createProgram } from '../../src/cli/command-program.ts'
import { complete } from '../../src/cli/commands/complete.ts'
import { tableOfImages } from '../../src/cli/commands/images.ts'
import { tableOfAll } from '../../src/cli/output/status-table.ts'
import { newTable, trimmed } from '../../src/cli/output/tables.ts'
import { parentfs } from '../fixtures/daemon.ts'

const hostile = 'a\u001b[2J\n\u009bb\u202ec'
const shown = 'a\\u001b[2J\\u000a\\u009bb\\u202ec'

t.test('a row of a table is one line, whatever its cells say', async t => {
  const table = newTable(['NAME', 'NUMBER'])
  table.push([hostile, 1], ['b', 2])
  const lines = trimmed(`${table}`).split('\n')
  t.equal(lines.length, 3)
  t.match(lines[1], new RegExp(`^${shown.replace(/[\\[]/g, '\\$&')} +1$`))
})

t.test('names and validators of images, and mountpoints', async t => {
  const facts = { sizeBytes: 1, residentBytes: 0, complete: false, digest: 'none', pinned: false, open: false }
  const images = tableOfImages([{ ...facts, name: hostile, validator: hostile } as unknown as ImageStatus])
  t.equal(images.split(shown).length, 3)
  t.notMatch(images, /[^\P{C}\n]/u)
  const numbers = { cache: { usedBytes: 1, capacityBytes: 2 }, reads: { hits: 0, misses: 0 } }
  const status = { mountpoint: hostile, state: 'ready', origin: { url: hostile }, ...numbers } as unknown as Status
  t.equal(tableOfAll([status]).split(shown).length, 3)
})

t.test('a message of the command', async t => {
  const ran = await parentfs('images', `/nowhere/${hostile}`)
  t.not(ran.code, 0)
  t.match(ran.stderr, /^parentfs: [^\n]*a\\u001b\[2J \\u009bb\\u202ec[^\n]*\n$/)
  const unknown = await parentfs('st\u001b[2J')
  t.equal(unknown.code, 2)
  t.match(unknown.stderr, /st\\u001b\[2J/)
})

t.test('a name that a shell could not show is not completed', async t => {
  const program = createProgram({ ended: () => {}, writeError: () => {} })
  const live = { mountpoints: async () => [], images: async () => ['a.raw', hostile] }
  t.same(await complete(program, ['evict', 'a'], live), ['a.raw', ':files'])
})

/** Modes as operators say them: places by name, whose word it is, and when it is in force. */
import t from 'tap'
import type { CacheMode } from '../../../src/cache/modes/cache-mode.ts'
import { ModeTable } from '../../../src/cache/modes/mode-table.ts'
import { ModeOperations } from '../../../src/cache/operations/mode-operations.ts'
import type { NamedImages } from '../../../src/cache/operations/named-images.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

const mount = { origin: null, image: null }
const byName = ({ scope, name, mode, by }: { scope: string; name: string | null; mode: CacheMode; by: string }) =>
  `${scope} ${name} ${mode} ${by}`

t.test('each place is told with the mode in force and whose word it is', async t => {
  const index = new IndexDatabase(t.testdir())
  const [near, far] = [new MemoryOrigin('memory://near'), new MemoryOrigin('memory://far')]
  const origins = [
    { directory: 'near', origin: near },
    { directory: 'far', origin: far },
  ]
  const configured = { mount: 'promote', origins: new Map([[near.url, null] as const, [far.url, 'forward'] as const]) }
  const modes = new ModeTable({ index, configured } as ConstructorParameters<typeof ModeTable>[0])
  const steps: string[] = []
  const names = {
    origin: (named: string) => origins.find(({ directory }) => directory === named)!,
    place: (name: string) => ({ origin: near, own: name.slice('near/'.length) }),
    find: async (name: string) => {
      steps.push(`find ${name}`)
      return { origin: near, own: name.slice('near/'.length) }
    },
  } as unknown as NamedImages
  const modesChanged = async () => void steps.push(`changed: ${modes.of({ origin: near.url, key: 'a' })}`)
  const operations = new ModeOperations({ names, origins, modes, modesChanged })
  const all = () => operations.list().map(byName)
  t.same(all(), [
    'mount null promote configuration',
    'origin near promote inherited',
    'origin far forward configuration',
  ])
  await operations.set({ ...mount, origin: 'near' }, 'proxy', signal)
  await operations.set({ ...mount, image: 'near/a' }, 'none', signal)
  t.same(steps, ['changed: proxy', 'find near/a', 'changed: none'], 'the word counts before others hear of it')
  t.same(all(), [
    'mount null promote configuration',
    'origin near proxy operator',
    'image near/a none operator',
    'origin far forward configuration',
  ])
  await operations.set({ ...mount, image: 'near/a' }, null, signal)
  t.equal(steps.at(-1), 'changed: proxy', 'one that is gone at its origin loses its mode, too')
  t.equal(steps.filter(step => step.startsWith('find')).length, 1)
  const message = /far has no mode of its own/
  await t.rejects(operations.set({ ...mount, origin: 'far' }, null, signal), { code: 'not-found', message })
  await t.rejects(operations.set(mount, null, signal), { code: 'not-found', message: /the mount has no mode/ })
  await t.rejects(operations.set({ origin: 'near', image: 'near/a' }, 'none', signal), { code: 'invalid-argument' })
  await index.close()
})
